internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate approve`
struct ApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Sign an approval of a release for an environment, in one role.",
        discussion: """
            The signature is bound to the digests, the plan and an expiry: another image, another rule, another target \
            need another approval. Roles: team_lead, sre, tech_lead, security, operations, product_owner.

            EXAMPLE:
              release-gate approve --env prod --role sre --key ~/.golden/sre --signer "Ann Lee" --out approvals/sre.json
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "In which role.")
    var role: String

    @Option(help: "The private key's file.")
    var key: String

    @Option(help: "Who signs.")
    var signer: String

    @Option(help: "For how many hours it holds.")
    var hours = 24

    @Option(help: "The file to write; it must not exist.")
    var out: String

    func run() async throws {
        let command = self
        let release = try what.file()
        try await gate.run {
            try await $0.approve(
                release, environment: command.what.env, role: command.role, signer: command.signer,
                keyFile: command.key, validHours: command.hours, out: command.out)
        }
    }
}
