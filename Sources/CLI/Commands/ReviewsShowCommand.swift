internal import ArgumentParser
internal import Contracts

/// `golden reviews show`
struct ReviewsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a review: who voted what, with which weight, and what was missing.",
        discussion: """
            EXAMPLES:
              golden reviews show 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60
              golden reviews show 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60 --what-if
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The review's id.") var review: String

    @Flag(help: "Show instead how it would end with another vote of one reviewer, the others' being what they are.")
    var whatIf = false

    func validate() throws {
        guard TaskID(review) != nil else { throw ValidationError("\(review) is not a review's id.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let path = "/reviews/\(review)" + (whatIf ? "/impact" : "")
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get(path).json
        }
        if output.isJSON { return console.print(answer) }
        guard whatIf else { return try ReviewPrinter(console: console).print(answer) }
        var reader = try JSONReader(answer)
        try Self.showAlternatives(&reader, on: console)
    }

    /// How it would end with each vote a seat could have cast.
    private static func showAlternatives(_ answer: inout JSONReader, on console: Console) throws {
        let choices = ["approve", "conditional", "reject", "abstain", "none"]
        var table = Table(
            "ROLE", "WEIGHT", "VOTE", "IF APPROVE", "IF CONDITIONAL", "IF REJECT", "IF ABSTAIN", "IF NONE")
        for json in try answer.optionalArray("impacts") ?? [] {
            var impact = try JSONReader(json)
            var ends: [String: (status: String, score: String)] = [:]
            for json in try impact.optionalArray("alternatives") ?? [] {
                var end = try JSONReader(json)
                ends[try end.string("vote")] = (try end.string("status"), end.optional("score")?.text ?? "")
            }
            let vote = try impact.string("vote")
            let role = Table.Cell(try impact.string("role"), .bold)
            table.add(
                row: [role, .init(impact.optional("weight")?.text ?? ""), .init(vote, ReviewsCommand.style(vote))]
                    + choices.map { choice in
                        let (status, score) = ends[choice] ?? ("", "")
                        return .init("\(status) \(score)", choice == vote ? .bold : ReviewsCommand.style(status))
                    })
        }
        console.print(table)
    }
}
