internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate certificate`
struct CertificateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificate", abstract: "Sign what was decided about a sealed release.",
        discussion: """
            Writes certificate.json (in-toto in DSSE), summary.json (SLSA VSA), certificate.txt and configmap.yaml. \
            What no evidence shows is UNVERIFIED.

            EXAMPLE:
              release-gate certificate --env prod --key keys/release --signer "Release Manager" --out certs/prod \\
                --resource "Deployments=5 (orchestrator, peer-hub, supervisor, dlq-worker, sandbox-executor)"
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "The private key's file.")
    var key: String

    @Option(help: "Who signs.")
    var signer: String

    @Option(name: .customLong("resource"), help: "KIND=SUMMARY, as counted in the cluster. Repeatable.")
    var resources: [String] = []

    @Option(help: "The folder for the files.")
    var out: String

    func run() async throws {
        let command = self
        let release = try what.file()
        try await gate.run {
            try await $0.certificate(
                release, environment: command.what.env, keyFile: command.key, signer: command.signer,
                resources: command.resources, out: command.out)
        }
    }
}
