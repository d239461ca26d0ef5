internal import ArgumentParser
internal import Contracts

/// `golden audit list`
struct AuditListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List entries, the newest first.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only what this subject did.")
    var actor: String?

    @Option(help: "Only this operation, such as cancelTask.")
    var action: String?

    @Option(help: "allowed, denied or failed.", completion: .list(["allowed", "denied", "failed"]))
    var outcome: String?

    @Option(help: "From this time on, such as 2026-01-31T12:00:00Z.")
    var from: String?

    @Option(help: "Before this time.")
    var to: String?

    @Flag(help: "What belongs to no tenant: unknown callers, the installation itself.")
    var installation = false

    @Option(help: "How many, 1 to 200.")
    var limit = 50

    @Option(help: "Where the page before ended.")
    var cursor: String?

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([
            ("actor", actor), ("action", action), ("outcome", outcome), ("from", from), ("to", to),
            ("scope", installation ? "installation" : nil), ("limit", "\(limit)"), ("cursor", cursor),
        ])
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.get("/audit\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let entries = try reader.optionalArray("entries") ?? []
        guard !entries.isEmpty else { return console.note("No entries.") }
        var table = Table("SEQ", "AT", "ACTOR", "ROLE", "RESOURCE", "OUTCOME", "REASON")
        for entry in entries {
            var entry = try JSONReader(entry)
            let outcome = try entry.string("outcome")
            table.add(
                .init("\(try entry.int("seq"))"), .init(shortTime(try entry.optionalString("at"))),
                .init(try entry.string("actor")), .init(try entry.string("role")),
                .init(try entry.string("resource")),
                .init(outcome, outcome == "allowed" ? .green : outcome == "denied" ? .red : .yellow),
                .init(try entry.optionalString("reason") ?? "-")
            )
        }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") { console.note("More: add --cursor \(next)") }
    }
}
