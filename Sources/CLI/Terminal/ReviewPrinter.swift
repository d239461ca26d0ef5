internal import Contracts

/// Shows a review to people: who voted what with which weight, what was said, and what was missing.
struct ReviewPrinter {
    let console: Console

    /// A review as `GET /reviews/{session}` answers it.
    func print(_ review: JSON) throws {
        var reader = try JSONReader(review)
        try printHead(&reader)
        let votes = try Self.votesByRole(&reader)
        let explanation = try reader.optionalObject("explanation")
        let counts = try explanation.map { try Self.contributions($0) } ?? [:]
        let seats = try Self.seats(&reader)
        console.print(try Self.table(seats, votes, counts))
        guard var explanation else {
            try printWords(seats, votes)
            return console.note("Undecided; the deadline is \(try reader.string("deadline")).")
        }
        console.print(Table.printable(try explanation.string("summary")))
        if let short = explanation.optional("short_by")?.text, short != "0" { console.print("Short by \(short).") }
        let deciders = try explanation.optionalStrings("could_have_passed_alone") ?? []
        if !deciders.isEmpty {
            console.print("Could have passed it alone: \(Table.printable(deciders.joined(separator: ", "))).")
        }
        try printWords(seats, votes)
    }

    private func printHead(_ review: inout JSONReader) throws {
        let status = try review.string("status")
        console.print(
            "Review \(Table.printable(try review.string("id"))) "
                + console.styled(Table.printable(status), ReviewsCommand.style(status) ?? .bold)
                + ", round \(try review.int("round")) of task \(Table.printable(try review.string("task_id")))")
        let times = [("opened", "opened_at"), ("decided", "decided_at")].compactMap { word, field in
            review.optional(field)?.string.map { "\(word) \($0)" }
        }
        let author = "by \(try review.string("author")) of \(try review.string("author_owner"))"
        console.print(console.styled(Table.printable(([author] + times).joined(separator: ", ")), .dim))
    }

    private static func seats(_ review: inout JSONReader) throws -> [(role: String, weight: String)] {
        try (try review.optionalArray("reviewers") ?? []).map { json in
            var seat = try JSONReader(json)
            return (try seat.string("role"), seat.optional("weight")?.text ?? "")
        }
    }

    private static func votesByRole(_ review: inout JSONReader) throws -> [String: JSON] {
        var byRole: [String: JSON] = [:]
        for vote in try review.optionalArray("votes") ?? [] {
            var reader = try JSONReader(vote)
            byRole[try reader.string("role")] = vote
        }
        return byRole
    }

    /// What each role's vote added to the score.
    private static func contributions(_ explanation: JSONReader) throws -> [String: String] {
        var explanation = explanation
        var counts: [String: String] = [:]
        for json in try explanation.optionalArray("contributions") ?? [] {
            var contribution = try JSONReader(json)
            counts[try contribution.string("role")] = contribution.optional("contribution")?.text
        }
        return counts
    }

    /// Every seat, voted for or not.
    private static func table(
        _ seats: [(role: String, weight: String)], _ votes: [String: JSON], _ counts: [String: String]
    ) throws -> Table {
        var table = Table("ROLE", "WEIGHT", "VOTE", "COUNTS", "REVIEWER")
        for (role, weight) in seats {
            guard let json = votes[role] else {
                table.add(.init(role, .bold), .init(weight), .init("none", .dim), "", "")
                continue
            }
            var vote = try JSONReader(json)
            let choice = try vote.string("vote")
            table.add(
                .init(role, .bold), .init(weight), .init(choice, ReviewsCommand.style(choice)),
                .init(counts[role] ?? ""), .init(try vote.string("reviewer"))
            )
        }
        return table
    }

    /// What the reviewers said, in whole: their lines stay lines, and nothing in them reaches the terminal's control.
    private func printWords(_ seats: [(role: String, weight: String)], _ votes: [String: JSON]) throws {
        for (role, _) in seats {
            guard let json = votes[role] else { continue }
            var vote = try JSONReader(json)
            let rationale = try vote.string("rationale")
            let concerns = try vote.optionalArray("concerns") ?? []
            guard !rationale.isEmpty || !concerns.isEmpty else { continue }
            console.print("")
            console.print(console.styled("\(Table.printable(role)) says", .bold))
            for line in Table.printableLines(rationale) where !rationale.isEmpty { console.print("  \(line)") }
            for concern in concerns {
                for (number, line) in Table.printableLines(Self.words(concern)).enumerated() {
                    console.print("  \(number == 0 ? "-" : " ") \(line)")
                }
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
