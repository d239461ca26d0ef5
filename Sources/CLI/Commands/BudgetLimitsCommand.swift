internal import ArgumentParser
internal import Contracts

/// `golden budget limits`
struct BudgetLimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits", abstract: "Set the limit of a project, or of the tenant.",
        discussion: """
            Opens the budget where there is none. Raising a limit lifts the block that an overage has set.

            EXAMPLES:
              golden budget limits alpha 2000000
              golden budget limits all-projects 10000000       the tenant's own
              golden budget limits alpha 2500000 --if-version 3
            """
    )

    @Argument(help: "The project; all-projects for the tenant's own budget.") var project: String
    @Argument(help: "The new limit in tokens.") var tokens: Int
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only when the budget is at this version; 0: only when there is none yet.") var ifVersion: Int?

    func validate() throws {
        guard ProjectID(project) != nil else { throw ValidationError("A project is 1 to 63 of A-Z a-z 0-9 _ -.") }
        guard tokens >= 0 else { throw ValidationError("The limit must not be negative.") }
        if let ifVersion, ifVersion < 0 { throw ValidationError("--if-version must not be negative.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = JSONWriter.object {
            $0.field("project", project)
            $0.field("total_limit", tokens)
        }
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            try await client.put("/budget/limits", body, ifMatch: ifVersion.map { "\"\($0)\"" }).json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try BudgetTable.of([answer]))
    }
}
