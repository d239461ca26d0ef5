internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate attest`
struct AttestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attest", abstract: "Sign a release's images, and how they were built.",
        discussion: """
            For builds without cosign. Writes a line for each image as `cosign download signature` prints it, and a \
            SLSA provenance of chart and images in a DSSE envelope, built from release.yaml's commit. release.yaml \
            names the file under attestations, gate.yaml the public key under supplyChain.

            EXAMPLE:
              release-gate attest --key keys/build --builder https://ci.example/golden \\
                --source https://git.example/golden --out attestations/1.2.0.jsonl
            """)

    @OptionGroup var gate: GateOptions

    @Option(help: "What is released.")
    var release = "release.yaml"

    @Option(help: "The private key's file.")
    var key: String

    @Option(help: "Who built it, as gate.yaml calls it.")
    var builder: String

    @Option(help: "The repository that it was built from.")
    var source: String

    @Option(help: "The file to write; it must not exist.")
    var out: String

    func run() async throws {
        let command = self
        let release = try ReleaseFile(file: release)
        try await gate.run {
            try $0.attest(
                release, builder: command.builder, source: command.source, keyFile: command.key, out: command.out)
        }
    }
}
