internal import ArgumentParser
internal import Contracts

/// `golden budget state`
struct BudgetStateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "state", abstract: "Show the budgets: limit, used, reserved, and what is left.",
        discussion: """
            EXAMPLES:
              golden budget state
              golden budget state --project alpha      what this project is charged to
              golden budget state --json | jq '.accounts[] | select(.blocked)'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    @Option(help: "Only the budgets this project is charged to.") var project: String?

    func run() async throws {
        try await page.show(
            "/budget/state", [("project", project)], field: "accounts",
            from: try connection.endpoint(Caller.environment),
            none: "No budgets, so nothing is limited. Next: golden budget limits PROJECT TOKENS",
            table: BudgetTable.of
        )
    }
}
