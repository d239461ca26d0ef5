package import Contracts
package import Postgres

/// A task that waits for its peers.
package struct ReviewedTask: Sendable {
    package let task: TaskRecord
    /// Its draft.
    package let artifact: JSON
    /// Of the agent who made it; nil when that one has not been stored.
    package let owner: String?
}

/// What the tasks' side knows of reviews: which tasks wait for which session, and what became of it.
package final class TaskReviewStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Those of the tasks that wait for their peers.
    package func waiting(_ ids: [TaskID]) async throws -> [ReviewedTask] {
        try await pool.execute(ReviewedTasks(ids: ids))
    }

    /// Tasks that have waited longer than `age` and whose session nobody has opened.
    package func unopened(age: Duration, limit: Int) async throws -> [TaskID] {
        let seconds = Double(age.components.seconds)
        return try await pool.execute(
            UndecidedTasks(ageSeconds: seconds, isUnopened: true, after: nil, limit: limit))
    }

    /// Tasks whose session is open, or was not opened, after the given id.
    package func undecided(after: TaskID?, limit: Int) async throws -> [TaskID] {
        try await pool.execute(UndecidedTasks(ageSeconds: 0, isUnopened: false, after: after, limit: limit))
    }

    /// Sessions that were decided longer ago than `age` and whose tasks still wait.
    package func unheard(age: Duration, limit: Int) async throws -> [ReviewID] {
        try await pool.execute(UnheardDecisions(ageSeconds: Double(age.components.seconds), limit: limit))
    }

    /// Sessions that are open though their tasks stopped waiting for them longer ago than `age`.
    package func abandoned(age: Duration, limit: Int) async throws -> [ReviewCancellation] {
        try await pool.execute(AbandonedReviews(ageSeconds: Double(age.components.seconds), limit: limit))
    }

    /// What was decided in these sessions, with the votes; nothing of one that is not decided.
    package func decisions(_ sessions: [ReviewID]) async throws -> [ReviewDecision] {
        let found = try await pool.execute(FindReviews(ids: sessions))
        let votes = Dictionary(grouping: try await pool.execute(ListVotes(ids: sessions)), by: \.session)
        return found.compactMap { session in
            ReviewDecision(session, votes: votes[session.id]?.map(\.vote) ?? [])
        }
    }
}
