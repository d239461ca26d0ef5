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
        var reader = try JSONReader(answer)
        let status = try reader.string("status")
        console.print(
            "Review \(try reader.string("id")), round \(try reader.int("round")) of task "
                + "\(try reader.string("task_id")): " + console.styled(status, ReviewsCommand.style(status) ?? .bold))
        let votes = try reader.optionalArray("votes") ?? []
        console.print(try Self.table(reader.optionalArray("reviewers") ?? [], votes))
        try Self.concerns(of: votes, on: console)
        guard var explanation = try reader.optionalObject("explanation") else {
            return console.note("Undecided; the deadline is \(try reader.string("deadline")).")
        }
        console.print(try explanation.string("summary"))
        if let short = explanation.optional("short_by")?.text, short != "0" { console.print("Missing: \(short)") }
        let deciders = try explanation.optionalStrings("could_have_passed_alone") ?? []
        if !deciders.isEmpty { console.print("Could have passed it alone: \(deciders.joined(separator: ", "))") }
    }

    /// Every seat, voted for or not.
    private static func table(_ seats: [JSON], _ votes: [JSON]) throws -> Table {
        var byRole: [String: JSON] = [:]
        for vote in votes {
            var reader = try JSONReader(vote)
            byRole[try reader.string("role")] = vote
        }
        var table = Table("ROLE", "WEIGHT", "VOTE", "REVIEWER", "RATIONALE")
        for json in seats {
            var seat = try JSONReader(json)
            let role = try seat.string("role")
            let weight = seat.optional("weight")?.text ?? ""
            guard let json = byRole[role] else {
                table.add(.init(role, .bold), .init(weight), .init("-", .dim), "", "")
                continue
            }
            var vote = try JSONReader(json)
            let choice = try vote.string("vote")
            table.add(
                .init(role, .bold), .init(weight), .init(choice, ReviewsCommand.style(choice)),
                .init(try vote.string("reviewer")), .init(String(try vote.string("rationale").prefix(100)))
            )
        }
        return table
    }

    private static func concerns(of votes: [JSON], on console: Console) throws {
        for json in votes {
            var vote = try JSONReader(json)
            let role = try vote.string("role")
            for concern in try vote.optionalArray("concerns") ?? [] {
                console.print("  \(role): \(Table.printable(concern.string ?? concern.text))")
            }
        }
    }
}
