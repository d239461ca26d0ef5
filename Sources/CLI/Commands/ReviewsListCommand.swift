internal import ArgumentParser
internal import Contracts

/// `golden reviews list`
struct ReviewsListCommand: AsyncParsableCommand {
    static let statuses = ["open", "approved", "rejected", "escalated", "canceled"]

    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List reviews, newest first.",
        discussion: """
            EXAMPLES:
              golden reviews list
              golden reviews list --status open --limit 200
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: "Only with this status: open, approved, rejected, escalated or canceled.",
        completion: .list(Self.statuses))
    var status: String?

    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
        if let status, !Self.statuses.contains(status) {
            throw ValidationError("--status must be one of \(Self.statuses.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([("status", status), ("limit", "\(limit)"), ("cursor", cursor)])
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/reviews\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let reviews = try reader.optionalArray("reviews") ?? []
        guard !reviews.isEmpty else { return console.note("No reviews.") }
        var table = Table("REVIEW", "TASK", "ROUND", "STATUS", "SCORE", "OPENED", "DEADLINE")
        for json in reviews {
            var review = try JSONReader(json)
            let status = try review.string("status")
            table.add(
                .init(try review.string("id"), .bold), .init(try review.string("task_id")),
                .init("\(try review.int("round"))"), .init(status, ReviewsCommand.style(status)),
                .init(review.optional("score")?.text ?? "-"), .init(try review.string("opened_at")),
                .init(try review.string("deadline"))
            )
        }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden reviews list --limit \(limit) --cursor \(next)")
        }
    }
}
