internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate rollback`
struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Go back to the version before, by hand and with a reason.",
        discussion: """
            Services go back in the reverse of the order they depend in. Refused when the schema is past its contract \
            step. The number of what is rolled back is burned, with or without --carry-out: without, nothing is run, \
            and what is recorded is that it was done by hand.

            EXAMPLE:
              release-gate rollback --env prod --reason "customers see empty invoices" --carry-out
            """)

    @OptionGroup var decision: DecisionOptions

    func run() async throws {
        try await decision.run { gate, release, environment, reason, isArmed in
            try await gate.rollback(release, environment: environment, reason: reason, isArmed: isArmed)
        }
    }
}
