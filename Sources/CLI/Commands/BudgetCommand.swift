internal import ArgumentParser
internal import Contracts

/// `golden budget`
struct BudgetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "budget",
        abstract: "Show and set budgets, list what holds them, and check the ledger.",
        discussion: """
            Budgets are in tokens. A project without a budget is not limited; `all-projects` is the tenant's own.

            EXAMPLES:
              golden budget state
              golden budget limits alpha 2000000
              golden budget reservations --state pending
              golden budget verify
            """,
        subcommands: [
            BudgetStateCommand.self, BudgetLimitsCommand.self, BudgetReservationsCommand.self,
            BudgetVerifyCommand.self,
        ],
        defaultSubcommand: BudgetStateCommand.self
    )
}

/// Rows of accounts.
enum BudgetTable {
    static func of(_ accounts: [JSON]) throws -> Table {
        var table = Table("PROJECT", "LIMIT", "USED", "RESERVED", "AVAILABLE", "OVERAGE", "STATE", "VERSION")
        for json in accounts {
            var account = try JSONReader(json)
            let available = try account.int("available")
            let isBlocked = try account.optionalBool("blocked") ?? false
            let state = isBlocked ? "blocked" : available == 0 ? "used up" : "open"
            table.add(
                .init(try account.string("project"), .bold), .init("\(try account.int("total_limit"))"),
                .init("\(try account.int("used"))"), .init("\(try account.int("reserved"))"), .init("\(available)"),
                .init("\(try account.int("overage"))"),
                .init(state, isBlocked ? .red : available == 0 ? .yellow : .green),
                .init("\(try account.int("version"))")
            )
        }
        return table
    }
}
