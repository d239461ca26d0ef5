internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate reverify`
struct ReverifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverify", abstract: "Judge a sealed release again; a bad one loses its right to be promoted.",
        discussion: """
            What is looked at is the canary's series while there are any, and those of the stable side since the seal.
            From when another version's walk began there, it is the stable side alone; once that one is sealed there,
            this is refused.
            Exit codes: 0 still good, 10 held and revoked, or nothing shown and nothing revoked, 20 bad and revoked.

            EXAMPLE:
              release-gate reverify --env staging
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "As of this Unix time; now by default.")
    var at: Int?

    func run() async throws {
        let (release, environment, at) = (try what.file(), what.env, at)
        throw ExitCode(try await gate.run { try await $0.reverify(release, environment: environment, at: at) })
    }
}
