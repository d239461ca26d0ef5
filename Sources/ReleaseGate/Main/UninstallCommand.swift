internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate uninstall`
struct UninstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uninstall", abstract: "Take a release away, with a reason; its history stays.",
        discussion: """
            EXAMPLE:
              release-gate uninstall --env dev --reason "the environment is given up" --carry-out
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "Why; it stays in the lineage.")
    var reason: String

    @Flag(help: "Run the adapter's commands instead of only showing them.")
    var carryOut = false

    func run() async throws {
        let (release, environment, reason, isArmed) = (try what.file(), what.env, reason, carryOut)
        try await gate.run {
            try await $0.uninstall(release, environment: environment, reason: reason, isArmed: isArmed)
        }
    }
}
