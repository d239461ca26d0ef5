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

    @OptionGroup var decision: DecisionOptions

    func run() async throws {
        try await decision.run { gate, release, environment, reason, isArmed in
            try await gate.uninstall(release, environment: environment, reason: reason, isArmed: isArmed)
        }
    }
}
