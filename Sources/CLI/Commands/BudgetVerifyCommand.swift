internal import ArgumentParser
internal import Contracts

/// `golden budget verify`
struct BudgetVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Add up the ledger and the holds; exit with 1 when an account differs.",
        discussion: """
            EXAMPLES:
              golden budget verify
              golden budget verify --json | jq .differences
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            try await client.get("/budget/verification").json
        }
        var reader = try JSONReader(answer)
        let differences = try reader.optionalArray("differences") ?? []
        if output.isJSON {
            console.print(answer.text)
        } else if differences.isEmpty {
            console.print("The ledger and the holds add up to every account.")
        } else {
            var table = Table("PROJECT", "SUM", "ACCOUNT SAYS", "ADDS UP TO")
            for json in differences {
                var difference = try JSONReader(json)
                table.add(
                    .init(try difference.string("project"), .bold), .init(try difference.string("sum")),
                    .init("\(try difference.int("found"))", .red), .init("\(try difference.int("expected"))")
                )
            }
            console.print(table)
            console.note("Next: golden budget reservations, and budget_transactions in the database, show the rows.")
        }
        if !differences.isEmpty { throw ExitStatus.other }
    }
}
