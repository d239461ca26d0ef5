internal import Contracts

/// Shows a review to people: who voted what with which weight, what was said, and what was missing.
struct ReviewPrinter {
    static let rationaleCharactersMax = 100

    let console: Console

    /// A review as `GET /reviews/{session}` answers it.
    func print(_ review: JSON) throws {
        var reader = try JSONReader(review)
        let status = try reader.string("status")
        console.print(
            "Review \(try reader.string("id")), round \(try reader.int("round")) of task "
                + "\(try reader.string("task_id")): " + console.styled(status, ReviewsCommand.style(status) ?? .bold))
        let votes = try reader.optionalArray("votes") ?? []
        console.print(try Self.table(reader.optionalArray("reviewers") ?? [], votes))
        try printConcerns(of: votes)
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
            let rationale = try vote.string("rationale")
            let shown = rationale.prefix(rationaleCharactersMax)
            table.add(
                .init(role, .bold), .init(weight), .init(choice, ReviewsCommand.style(choice)),
                .init(try vote.string("reviewer")), .init(shown + (shown.count < rationale.count ? "…" : ""))
            )
        }
        return table
    }

    private func printConcerns(of votes: [JSON]) throws {
        for json in votes {
            var vote = try JSONReader(json)
            let role = try vote.string("role")
            for concern in try vote.optionalArray("concerns") ?? [] {
                console.print("  \(console.styled(role, .bold)): \(Table.printable(Self.words(concern)))")
            }
        }
    }

    /// `orders.py:14 sql-injection: What is wrong.` where a concern says so, else the concern as it came.
    private static func words(_ concern: JSON) -> String {
        func field(_ name: String) -> JSON? { concern.fields?.first { $0.name == name }?.value }
        guard let message = field("message")?.string else { return concern.string ?? concern.text }
        let line = field("line")?.int.map { ":\($0)" } ?? ""
        let place = field("file")?.string.map { "\($0)\(line) " } ?? ""
        return place + (field("rule")?.string.map { "\($0): " } ?? "") + message
    }
}
