internal import ArgumentParser
internal import Contracts

/// `golden dlq list`
struct DLQListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List dead letters, newest first.",
        discussion: """
            EXAMPLES:
              golden dlq list                       those that are open
              golden dlq list --state resolved
              golden dlq list --task 0198c5a2-…
            """
    )

    static let states = ["open", "resolved", "all"]

    @OptionGroup var conditions: DeadLetterConditions
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage
    @Option(help: "open, resolved or all.", completion: .list(Self.states)) var state = "open"

    func validate() throws {
        guard Self.states.contains(state) else {
            throw ValidationError("--state must be one of \(Self.states.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        let endpoint = try connection.endpoint(role: "operator", Caller.environment)
        try await page.show(
            "/dlq", conditions.pairs + [("state", state)], field: "dead_letters", from: endpoint,
            none: state == "open" ? "No dead letters." : "None."
        ) { letters in
            var table = Table("DEAD LETTER", "SUBJECT", "REASON", "DELIVERIES", "REPLAYS", "FILED", "ERROR")
            for json in letters {
                var letter = try JSONReader(json)
                table.add(
                    .init(try letter.string("id"), .bold), .init(try letter.string("original_subject")),
                    .init(try letter.string("reason")), .init("\(try letter.int("deliveries"))"),
                    .init("\(try letter.int("replays"))"), .init(try letter.string("created_at")),
                    .init(try letter.optionalString("error") ?? "-")
                )
            }
            return table
        }
    }
}
