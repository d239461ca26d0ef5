package import Contracts

/// What reviewers want changed, as the agent gets it who made the work: `{"review": {…, "concerns": […]}}`.
///
/// The worst votes come first. Everything is kept as the reviewers wrote it while there is room; each of them has an
/// equal share of it, and what one leaves the next may use. What was left out is said.
package enum ReviewPlan {
    /// Room for the JSON around what reviewers said.
    static let envelopeBytes = 512

    package static func of(_ decision: ReviewDecision) -> JSON {
        let votes = decision.votes.filter(hasToSaySomething).sorted { rank($0) < rank($1) }
        var left = Resolution.planBytesMax - envelopeBytes
        var entries: [JSON] = []
        for (index, vote) in votes.enumerated() {
            let entry = entry(vote, bytesMax: left / (votes.count - index))
            guard entry.bytes.count < left else { continue }
            left -= entry.bytes.count + 1
            entries.append(entry)
        }
        return JSONWriter.object { writer in
            writer.field(
                "review",
                object: { writer in
                    writer.field("session_id", decision.session.description)
                    writer.field("round", decision.round)
                    writer.field("decision", decision.outcome.status.rawValue)
                    writer.field("score", decimal: decision.outcome.score)
                    writer.field(ifPresent: "quorum", decision.outcome.quorum)
                    writer.field("concerns", array: { writer in for entry in entries { writer.element(entry) } })
                    if entries.count < votes.count { writer.field("reviewers_left_out", votes.count - entries.count) }
                })
        }
    }

    private static func hasToSaySomething(_ vote: ReviewDecision.Vote) -> Bool {
        switch vote.cast.choice {
        case .reject, .conditional: true
        case .approve, .abstain: vote.opinion.concerns.array?.isEmpty == false
        }
    }

    private static func rank(_ vote: ReviewDecision.Vote) -> (Int, String) {
        let rank =
            switch vote.cast.choice {
            case .reject: 0
            case .conditional: 1
            case .abstain: 2
            case .approve: 3
            }
        return (rank, vote.cast.role.text)
    }

    /// Concerns go before the rationale, and the first before the last.
    private static func entry(_ vote: ReviewDecision.Vote, bytesMax: Int) -> JSON {
        let concerns = vote.opinion.concerns.array ?? []
        var rationale = vote.opinion.rationale
        let bare = write(vote, rationale: "", [], of: concerns.count).bytes.count
        // A half for the rationale, unless the concerns leave it more.
        let listed = concerns.reduce(0) { $0 + $1.bytes.count + 1 }
        let words = max((bytesMax - bare) / 2, bytesMax - bare - listed)
        while JSONWriter.string(rationale).bytes.count > words, !rationale.isEmpty {
            rationale = String(rationale.prefix(rationale.count / 2))
        }
        var room = bytesMax - bare - JSONWriter.string(rationale).bytes.count
        var kept: [JSON] = []
        for concern in concerns {
            room -= concern.bytes.count + 1
            if room < 0 { break }
            kept.append(concern)
        }
        return write(vote, rationale: rationale, kept, of: concerns.count)
    }

    private static func write(
        _ vote: ReviewDecision.Vote, rationale: String, _ concerns: [JSON], of count: Int
    ) -> JSON {
        JSONWriter.object { writer in
            writer.field("role", vote.cast.role.text)
            writer.field("reviewer", vote.cast.reviewer)
            writer.field("vote", vote.cast.choice.rawValue)
            writer.field("rationale", rationale)
            writer.field("concerns", array: { writer in for concern in concerns { writer.element(concern) } })
            if concerns.count < count { writer.field("concerns_left_out", count - concerns.count) }
            if rationale.utf8.count < vote.opinion.rationale.utf8.count { writer.field("rationale_cut", true) }
        }
    }
}
