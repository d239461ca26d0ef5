internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate canary`
struct CanaryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "canary", abstract: "Walk a release through its steps until it is sealed, held or rolled back.",
        discussion: """
            One version is walked in an environment at a time: another waits until that one is sealed or rolled \
            back, or takes its place with --supersede.
            Its place is in the lineage: killed at any moment and started again, it goes on as if nothing had happened.
            Commands that carry a decision out are shown; they are run with --carry-out. One may be run twice when \
            the gate dies between the command and its entry.
            Exit codes: 0 sealed, 10 held, 20 rolled back, 2 invalid.

            EXAMPLE:
              release-gate canary --env prod --carry-out
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Flag(help: "Run the adapter's commands instead of only showing them.")
    var carryOut = false

    @Flag(help: "Begin although another version's walk is open in that environment; that one ends by it.")
    var supersede = false

    func run() async throws {
        let (release, environment, isArmed, supersedes) = (try what.file(), what.env, carryOut, supersede)
        throw ExitCode(
            try await gate.run {
                try await $0.canary(release, environment: environment, isArmed: isArmed, supersedes: supersedes)
            })
    }
}
