internal import ArgumentParser
internal import Contracts

/// `golden governance patterns`
struct GovernancePatternsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patterns", abstract: "List failures that recur, and what was proposed because of them.",
        discussion: """
            EXAMPLES:
              golden governance patterns
              golden governance patterns --role tester --status open
              golden governance patterns --json | jq '.patterns[].evidence'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    @Option(help: "Only of this role.") var role: String?
    @Option(
        help: "Only with this status: open, proposed or dismissed.",
        completion: .list(["open", "proposed", "dismissed"]))
    var status: String?

    func validate() throws {
        if let status, !["open", "proposed", "dismissed"].contains(status) {
            throw ValidationError("--status must be open, proposed or dismissed.")
        }
    }

    func run() async throws {
        try await page.show(
            "/governance/patterns", [("role", role), ("status", status)], field: "patterns",
            from: try connection.endpoint(role: "operator", Caller.environment), none: "No failures recur."
        ) { patterns in
            var table = Table("ROLE", "WHAT", "SEEN", "LAST SEEN", "STATUS", "PROMPT", "VERDICT")
            for json in patterns {
                var pattern = try JSONReader(json)
                let prompt = try pattern.optionalInt("prompt_id").map { "\($0)" }
                table.add(
                    .init(try pattern.string("role"), .bold), .init(try pattern.optionalString("description") ?? "-"),
                    .init("\(try pattern.int("occurrences"))"),
                    .init(shortTime(try pattern.optionalString("last_seen"))), .init(try pattern.string("status")),
                    .init(prompt ?? "-"), .init(try Self.verdict(&pattern))
                )
            }
            return table
        }
    }

    private static func verdict(_ pattern: inout JSONReader) throws -> String {
        guard let status = try pattern.optionalString("prompt_status") else { return "-" }
        guard let why = try pattern.optionalString("verdict_reason"), status == "blocked" else { return status }
        let until = shortTime(try pattern.optionalString("next_auto_at"))
        return until == "-" ? "\(status): \(why)" : "\(status): \(why) until \(until)"
    }
}
