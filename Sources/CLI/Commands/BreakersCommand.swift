internal import ArgumentParser
internal import Contracts

/// `golden breakers`
struct BreakersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breakers",
        abstract: "List circuit breakers, reset them, or set them by hand.",
        discussion: """
            EXAMPLES:
              golden breakers list
              golden breakers reset external_api
              golden breakers open external_api --reason "their maintenance" --for 600
              golden breakers metrics-only external_api --reason "is it too strict?"
            """,
        subcommands: [
            BreakersListCommand.self, BreakersResetCommand.self, BreakersOpenCommand.self,
            BreakersDisableCommand.self, BreakersMetricsOnlyCommand.self,
        ],
        defaultSubcommand: BreakersListCommand.self
    )
}
