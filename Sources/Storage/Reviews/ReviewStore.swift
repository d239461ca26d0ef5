package import Contracts
package import FoundationEssentials
package import Postgres

/// The review sessions and their votes.
///
/// A vote and the decision it brings about are one transaction, so that nothing is lost between them; two replicas that
/// get votes for one session wait for each other at its row. What decides is handed in: a pure function of the session,
/// its votes and whether the deadline has passed.
package final class ReviewStore: Sendable {
    package typealias Decide =
        @Sendable (_ session: ReviewSession, _ votes: [CastVote], _ atDeadline: Bool) -> ReviewOutcome?

    /// A transaction that lost its way is run again so often in all.
    static let attemptsMax = 5
    /// After a decision, before somebody else than its maker announces it.
    package static let announceGraceSeconds: Double = 2

    private let pool: PostgresPool
    private let decide: Decide
    private let ballots: CoalescingWriter<[Ballot], [BallotOutcome]>
    /// Nil: something stands in the way.
    private let openings: CoalescingWriter<ReviewSession, ReviewSession?>

    package init(pool: PostgresPool, decide: @escaping Decide) {
        self.pool = pool
        self.decide = decide
        ballots = CoalescingWriter(name: "count-ballots", pool: pool, maxBatch: 64) { batch, tx in
            var count = BallotCount(batch.flatMap { $0 }, decide: decide)
            let outcomes = try count.run(in: tx)
            var start = 0
            return batch.map { ballots in
                defer { start += ballots.count }
                return Array(outcomes[start..<(start + ballots.count)])
            }
        }
        openings = CoalescingWriter(name: "open-reviews", pool: pool) { sessions, tx in
            let opened = try tx.finish(OpenReviews(sessions: sessions))
            var byID = Dictionary(opened.map { ($0.id, $0) }) { first, _ in first }
            // Of two wishes for one session the first has opened it.
            return sessions.map { byID.removeValue(forKey: $0.id) }
        }
    }

    /// Opens a session with its snapshot, together with whatever others arrive meanwhile. Asking again with the same id
    /// answers what was opened then.
    package func open(_ session: ReviewSession) async throws -> OpeningOutcome {
        if let opened = try await openings.submit(session) { return .opened(opened) }
        guard let rival = try await pool.execute(FindRivalReview(session: session)).first else {
            throw StoreError(.guardFailed, "A review session vanished while it was opened. Nothing was changed.")
        }
        let isSame =
            rival.id == session.id && rival.tenant == session.tenant && rival.task == session.task
            && rival.round == session.round && rival.artifact == session.artifact
        return isSame ? .exists(rival) : .conflict(rival)
    }

    /// Counts ballots together with whatever others arrive meanwhile; one outcome each, in their order. What was lost
    /// on the way is done again: a vote that had been counted is `repeated`.
    package func count(_ ballots: [Ballot]) async throws -> [BallotOutcome] {
        guard !ballots.isEmpty else { return [] }
        for _ in 1..<Self.attemptsMax {
            do {
                return try await self.ballots.submit(ballots)
            } catch let error as PostgresError where error.leavesIdempotentWork {
                continue
            }
        }
        return try await self.ballots.submit(ballots)
    }

    /// Decides what is still open after its deadline, at most `limit` sessions, in one transaction.
    package func decideDue(limit: Int) async throws -> [ReviewSession] {
        try await pool.transaction { [decide] tx in try BallotCount.sweep(limit: limit, decide: decide, in: tx) }
    }

    /// Closes sessions that nobody waits for: later votes are late. Answers those that were open until now.
    package func cancel(_ ids: [ReviewID]) async throws -> [ReviewSession] {
        try await pool.execute(CancelReviews(ids: ids))
    }

    // MARK: Offering

    /// Open sessions whose empty seats were offered longer ago, after the given id.
    package func quiet(forSeconds seconds: Double, after: ReviewID?, limit: Int) async throws -> [QuietReview] {
        try await pool.execute(QuietReviews(ageSeconds: seconds, after: after, limit: limit))
    }

    /// True when the caller is the one to offer the session's empty seats once more.
    package func claimOffer(_ session: ReviewID, offers: Int) async throws -> Bool {
        try await !pool.execute(ClaimOffer(session: session, offers: offers)).isEmpty
    }

    /// True when the session's empty seats were not offered since somebody asked for it.
    package func offer(_ session: ReviewID, askedAt: Date) async throws -> Bool {
        try await !pool.execute(OfferAsAsked(session: session, askedAt: askedAt)).isEmpty
    }

    // MARK: Announcing

    /// Decisions whose announcement nobody has confirmed for two seconds.
    package func unpublished(limit: Int) async throws -> [ReviewSession] {
        try await pool.execute(UnpublishedReviews(olderThanSeconds: Self.announceGraceSeconds, limit: limit))
    }

    /// Answers those that were not noted before: of all who announce a decision, one is told so.
    package func markPublished(_ ids: [ReviewID]) async throws -> Set<ReviewID> {
        guard !ids.isEmpty else { return [] }
        return Set(try await pool.execute(MarkReviewsPublished(ids: ids)))
    }

    // MARK: Reading

    package func find(_ id: ReviewID, tenant: TenantID) async throws -> ReviewSession? {
        try await pool.execute(FindReview(id: id, tenant: tenant)).first
    }

    package func list(_ filter: ReviewFilter) async throws -> [ReviewSession] {
        try await pool.execute(ListReviews(filter: filter))
    }

    /// One task's rounds, the first first.
    package func sessions(of task: TaskID, tenant: TenantID, limit: Int) async throws -> [ReviewSession] {
        try await pool.execute(ListReviewsOfTask(task: task, tenant: tenant, limit: limit))
    }

    /// The votes of sessions, in the order they came.
    package func votes(in sessions: [ReviewID]) async throws -> [ReviewID: [ReviewVote]] {
        let votes = try await pool.execute(ListVotes(ids: sessions))
        return Dictionary(grouping: votes, by: \.session).mapValues { $0.map(\.vote) }
    }

    /// The agents of these names that ever announced themselves.
    package func agents(_ names: Set<String>) async throws -> [String: KnownAgent] {
        guard !names.isEmpty else { return [:] }
        let agents = try await pool.execute(FindAgents(names: names.sorted()))
        return Dictionary(agents.map { ($0.agent.text, $0) }) { first, _ in first }
    }

    /// Throws unless the tables are there.
    package func checkSchema() async throws { _ = try await unpublished(limit: 1) }

    package func shutdown() async {
        await openings.shutdown()
        await ballots.shutdown()
    }
}
