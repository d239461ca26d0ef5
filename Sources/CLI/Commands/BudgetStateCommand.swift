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
    @OptionGroup var output: OutputOptions

    @Option(help: "Only the budgets this project is charged to.") var project: String?
    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([("project", project), ("limit", "\(limit)"), ("cursor", cursor)])
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/budget/state\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let accounts = try reader.optionalArray("accounts") ?? []
        guard !accounts.isEmpty else {
            return console.note("No budgets, so nothing is limited. Next: golden budget limits PROJECT TOKENS")
        }
        console.print(try BudgetTable.of(accounts))
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden budget state --limit \(limit) --cursor \(next)")
        }
    }
}
