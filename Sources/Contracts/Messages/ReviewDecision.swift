package import FoundationEssentials

/// On `prc.<session>.decision`: how a session ended, and everything its reviewers said.
///
/// Published at least once; the id `<session>.decision` makes the stream keep one within its window.
package struct ReviewDecision: Sendable, Equatable {
    /// One reviewer's vote and words.
    package struct Vote: Sendable, Equatable {
        package let cast: CastVote
        package let opinion: ReviewOpinion

        package init(cast: CastVote, opinion: ReviewOpinion) {
            self.cast = cast
            self.opinion = opinion
        }
    }

    package let session: ReviewID
    package let tenant: TenantID
    package let task: TaskID
    package let attempt: Int
    package let round: Int
    package let artifact: ArtifactHash
    package let outcome: ReviewOutcome
    package let decidedAt: Date
    /// The tokens that the reviewers reported to have used until then, whatever came of their votes.
    package let usageTokens: Int
    package let votes: [Vote]

    /// Nil while the session is undecided.
    package init?(_ session: ReviewSession, votes: [ReviewVote]) {
        guard case .decided(let decision) = session.phase else { return nil }
        self.session = session.id
        tenant = session.tenant
        task = session.task
        attempt = session.attempt
        round = session.round
        artifact = session.artifact
        outcome = decision.outcome
        decidedAt = decision.at
        usageTokens = session.usage.total
        self.votes = votes.map { Vote(cast: $0.cast, opinion: $0.opinion) }
    }

    /// What the stream deduplicates by.
    package var messageID: String { "\(session).decision" }
}

extension ReviewDecision: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        session = try body.reviewID("session_id")
        tenant = try body.name("tenant")
        task = try body.taskID("task_id")
        attempt = try body.int("attempt")
        round = try body.int("round")
        guard let artifact = try body.optionalArtifactHash("artifact_sha256") else {
            throw body.error("artifact_sha256", "is required")
        }
        self.artifact = artifact
        guard let status = ReviewStatus(rawValue: try body.string("decision")), status != .open, status != .canceled
        else { throw body.error("decision", "must be approved, rejected or escalated") }
        outcome = ReviewOutcome(
            status: status, score: try body.required("score").text, explanation: try body.required("explanation"))
        decidedAt = try body.timestamp("decided_at")
        usageTokens = try body.optionalInt("usage_tokens") ?? 0
        var votes: [Vote] = []
        for (index, element) in (try body.optionalArray("votes") ?? []).enumerated() {
            var vote = try JSONReader(element, path: "votes[\(index)]")
            let read = try VoteBody(from: &vote)
            let cast = CastVote(
                reviewer: try vote.string("reviewer"), role: try vote.name("role"), choice: read.choice)
            votes.append(Vote(cast: cast, opinion: read.opinion))
        }
        self.votes = votes
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("session_id", session.description)
        writer.field("tenant", tenant.text)
        writer.field("task_id", task.description)
        writer.field("attempt", attempt)
        writer.field("round", round)
        writer.field("artifact_sha256", artifact.description)
        writer.field("decision", outcome.status.rawValue)
        writer.field("score", decimal: outcome.score)
        writer.field("decided_at", Timestamp.text(decidedAt))
        if usageTokens > 0 { writer.field("usage_tokens", usageTokens) }
        writer.field("explanation", outcome.explanation)
        writer.field(
            "votes",
            array: { writer in
                for vote in votes {
                    writer.element(object: { writer in
                        writer.field("role", vote.cast.role.text)
                        writer.field("reviewer", vote.cast.reviewer)
                        writer.field("vote", vote.cast.choice.rawValue)
                        writer.field("rationale", vote.opinion.rationale)
                        writer.field("concerns", vote.opinion.concerns)
                    })
                }
            })
    }
}
