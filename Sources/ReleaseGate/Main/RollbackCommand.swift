internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate rollback`
struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Go back to the version before, by hand and with a reason.",
        discussion: """
            Services go back in the reverse of the order they depend in. Refused when the schema is past its contract \
            step. The number of what is rolled back is burned.

            EXAMPLE:
              release-gate rollback --env prod --reason "customers see empty invoices" --carry-out
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
            try await $0.rollback(release, environment: environment, reason: reason, isArmed: isArmed)
        }
    }
}
