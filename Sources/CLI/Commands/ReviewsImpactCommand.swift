internal import ArgumentParser
internal import Contracts

/// `golden reviews impact`
struct ReviewsImpactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "impact",
        abstract: "What if: how a review would end with another vote of one reviewer, the others' being what they are.",
        discussion: """
            EXAMPLES:
              golden reviews impact 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60
              golden reviews impact 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60 --agent security
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The review's id.") var review: String
    @Option(help: "Only this reviewer, by name or role.") var agent: String?

    func validate() throws {
        guard TaskID(review) != nil else { throw ValidationError("\(review) is not a review's id.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([("agent", agent)])
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/reviews/\(review)/impact\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try Self.table(answer))
    }

    /// A line for each reviewer; the vote that was cast is bold.
    static func table(_ answer: JSON) throws -> Table {
        let choices = ["approve", "conditional", "reject", "abstain", "none"]
        var table = Table(
            "ROLE", "WEIGHT", "VOTE", "DECISIVE", "IF APPROVE", "IF CONDITIONAL", "IF REJECT", "IF ABSTAIN", "IF NONE")
        var reader = try JSONReader(answer)
        for json in try reader.optionalArray("impacts") ?? [] {
            var impact = try JSONReader(json)
            var ends: [String: (status: String, score: String)] = [:]
            for json in try impact.optionalArray("alternatives") ?? [] {
                var end = try JSONReader(json)
                ends[try end.string("vote")] = (try end.string("status"), end.optional("score")?.text ?? "")
            }
            let vote = try impact.string("vote")
            let isDecisive = try impact.optionalBool("decisive") ?? false
            let cells: [Table.Cell] = [
                .init(try impact.string("role"), .bold), .init(impact.optional("weight")?.text ?? ""),
                .init(vote, ReviewsCommand.style(vote)), .init(isDecisive ? "yes" : "no"),
            ]
            table.add(
                row: cells
                    + choices.map { choice in
                        let (status, score) = ends[choice] ?? ("", "")
                        return .init("\(status) \(score)", choice == vote ? .bold : ReviewsCommand.style(status))
                    })
        }
        return table
    }
}
