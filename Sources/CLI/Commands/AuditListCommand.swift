internal import ArgumentParser
internal import Contracts

/// `golden audit list`
struct AuditListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List entries, the newest first.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var page: ListPage

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

    func run() async throws {
        let filters = [
            ("actor", actor), ("action", action), ("outcome", outcome), ("from", from), ("to", to),
            ("scope", installation ? "installation" : nil),
        ]
        try await page.show(
            "/audit", filters, field: "entries", from: try await admin.endpoint(Caller.environment),
            none: "No entries."
        ) { entries in
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
            return table
        }
    }
}
