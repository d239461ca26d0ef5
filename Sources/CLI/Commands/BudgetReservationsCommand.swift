internal import ArgumentParser
internal import Contracts

/// `golden budget reservations`
struct BudgetReservationsCommand: AsyncParsableCommand {
    static let states = ["pending", "committed", "released", "expired", "denied"]

    static let configuration = CommandConfiguration(
        commandName: "reservations", abstract: "List reservations: who holds tokens, and what became of them.",
        discussion: """
            EXAMPLES:
              golden budget reservations --state pending
              golden budget reservations --project alpha --limit 200
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    @Option(help: "Only of this project.") var project: String?

    @Option(
        help: "Only in this state: pending, committed, released, expired or denied.", completion: .list(Self.states))
    var state: String?

    func validate() throws {
        if let state, !Self.states.contains(state) {
            throw ValidationError("--state must be one of \(Self.states.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        try await page.show(
            "/budget/reservations", [("project", project), ("state", state)], field: "reservations",
            from: try connection.endpoint(Caller.environment), none: "No reservations."
        ) { reservations in
            var table = Table("PROJECT", "REQUEST", "STATE", "TOKENS", "ACTUAL", "TASK", "PRINCIPAL", "EXPIRES")
            for reservation in reservations { table.add(row: try row(reservation)) }
            return table
        }
    }

    private func row(_ json: JSON) throws -> [Table.Cell] {
        var reservation = try JSONReader(json)
        let state = try reservation.string("state")
        let style: Console.Style? =
            switch state {
            case "pending": .cyan
            case "committed": .green
            case "denied", "expired": .yellow
            default: .dim
            }
        return [
            .init(try reservation.string("project")), .init(try reservation.string("request_id"), .bold),
            .init(state, style), .init("\(try reservation.int("tokens"))"),
            .init(try reservation.optionalInt("actual").map { "\($0)" } ?? "-"),
            .init(try reservation.optionalString("task_id") ?? "-"), .init(try reservation.string("principal")),
            .init(try reservation.string("expires_at")),
        ]
    }
}
