internal import ArgumentParser
internal import Contracts

/// `golden reviews show`
struct ReviewsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a review: who voted what, with which weight, and what was missing.",
        discussion: """
            EXAMPLES:
              golden reviews show 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The review's id.") var review: String

    func validate() throws {
        guard TaskID(review) != nil else { throw ValidationError("\(review) is not a review's id.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/reviews/\(review)").json
        }
        if output.isJSON { return console.print(answer.text) }
        try ReviewPrinter(console: console).print(answer)
    }
}
