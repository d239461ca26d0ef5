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
    @OptionGroup var output: OutputOptions

    @Option(help: "Only of this project.") var project: String?

    @Option(
        help: "Only in this state: pending, committed, released, expired or denied.", completion: .list(Self.states))
    var state: String?

    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
        if let state, !Self.states.contains(state) {
            throw ValidationError("--state must be one of \(Self.states.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([
            ("project", project), ("state", state), ("limit", "\(limit)"), ("cursor", cursor),
        ])
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/budget/reservations\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let reservations = try reader.optionalArray("reservations") ?? []
        guard !reservations.isEmpty else { return console.note("No reservations.") }
        var table = Table("PROJECT", "REQUEST", "STATE", "TOKENS", "ACTUAL", "TASK", "PRINCIPAL", "EXPIRES")
        for reservation in reservations { table.add(row: try row(reservation)) }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden budget reservations --limit \(limit) --cursor \(next)")
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
