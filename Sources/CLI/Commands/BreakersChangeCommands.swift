internal import ArgumentParser

/// `golden breakers reset`
struct BreakersResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Close a breaker, clear its window on every replica, make it automatic.",
        discussion: """
            EXAMPLES:
              golden breakers reset external_api --reason "they are back"
            """
    )

    @OptionGroup var change: BreakersChange
    @Option(help: "Why; kept with the breaker and in the audit log.") var reason: String?

    func run() async throws { try await change.carryOut("reset", reason: reason, seconds: nil) }
}

/// `golden breakers open`
struct BreakersOpenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Let no call through.",
        discussion: """
            EXAMPLES:
              golden breakers open external_api --reason "their maintenance" --for 600
            """
    )

    @OptionGroup var change: BreakersChange
    @OptionGroup var mode: BreakersModeOptions

    func run() async throws { try await change.carryOut("force-open", reason: mode.reason, seconds: mode.seconds) }
}

/// `golden breakers disable`
struct BreakersDisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Let every call through and count none.",
        discussion: """
            EXAMPLES:
              golden breakers disable external_api --reason "drill" --for 60
            """
    )

    @OptionGroup var change: BreakersChange
    @OptionGroup var mode: BreakersModeOptions

    func run() async throws { try await change.carryOut("disable", reason: mode.reason, seconds: mode.seconds) }
}

/// `golden breakers metrics-only`
struct BreakersMetricsOnlyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics-only", abstract: "Let every call through and count them, but never open.",
        discussion: """
            EXAMPLES:
              golden breakers metrics-only external_api --reason "is it too strict?"
            """
    )

    @OptionGroup var change: BreakersChange
    @OptionGroup var mode: BreakersModeOptions

    func run() async throws { try await change.carryOut("metrics-only", reason: mode.reason, seconds: mode.seconds) }
}
