internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate reverify`
struct ReverifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverify", abstract: "Judge a sealed release again; a bad one loses its right to be promoted.",
        discussion: """
            What is looked at is the canary's series while there are any, and those of the stable side since the seal.
            From when another version's walk began there, it is the stable side alone; while that one is sealed there,
            this is refused.
            It is revoked when it would be rolled back, or stable and canary are both bad. Any other hold, such as a \
            breaker that is half open, shows nothing.
            Exit codes: 0 still good, 10 nothing shown, or where it runs is bad and it is revoked, 20 bad and revoked.

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
