import Testing

@Suite(.timeLimit(.minutes(10))) struct `Review tables` {
    static let session = "00000000-0000-7000-8000-000000000001"

    private func withSession() async throws -> MigrationDatabase {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO peer_review_sessions (
                id, tenant_id, task_id, attempt, round, author_agent, author_owner, artifact_sha256, reviewers,
                weight_total, deadline
            ) VALUES ('\(Self.session)', 't', gen_random_uuid(), 1, 1, 'author', 'owner', sha256('a'),
                '[{"role":"security","weight":0.3},{"role":"tester","weight":0.15}]', 0.45,
                now() + interval '3 minutes')
            """
        )
        return database
    }

    private func vote(
        _ reviewer: String, owner: String = "other", artifact: String = "a", role: String = "security"
    ) -> String {
        """
        INSERT INTO peer_votes (session_id, reviewer, reviewer_owner, reviewer_role, vote, weight, artifact_sha256)
        VALUES ('\(Self.session)', '\(reviewer)', '\(owner)', '\(role)', 'approve', 0.3, sha256('\(artifact)'))
        """
    }

    private static let decide =
        "UPDATE peer_review_sessions SET status = 'approved', score = 1, explanation = '{}', "
        + "decided_at = now()"

    @Test func `a reviewer votes once and for good`() async throws {
        let database = try await withSession()
        try await database.sql(vote("one"))
        #expect(try await database.refusal(vote("one")).contains("peer_votes_pkey"))
        #expect(try await database.refusal("UPDATE peer_votes SET vote = 'reject'").contains("append-only"))
        #expect(try await database.refusal("DELETE FROM peer_votes").contains("append-only"))
    }

    @Test func `two agents of one role are one reviewer`() async throws {
        let database = try await withSession()
        try await database.sql(vote("one"))
        #expect(try await database.refusal(vote("two")).contains("peer_votes_one_per_seat"))
        try await database.sql(vote("two", role: "tester"))
    }

    @Test func `of a decided session only its announcement is noted`() async throws {
        let database = try await withSession()
        try await database.sql(Self.decide)
        try await database.sql("UPDATE peer_review_sessions SET decision_published_at = now()")
        for change in ["score = 2", "explanation = '{\"a\":1}'", "status = 'rejected'", "deadline = now()"] {
            let refusal = try await database.refusal(
                "UPDATE peer_review_sessions SET decision_published_at = NULL, \(change)")
            #expect(refusal.contains("peer_review_sessions_decided_once"), "\(change): \(refusal)")
        }
    }

    @Test func `a vote counts for the session's artifact alone`() async throws {
        let database = try await withSession()
        #expect(try await database.refusal(vote("one", artifact: "b")).contains("peer_votes_bound_to_artifact"))
        let strays = vote("one").replacing(Self.session, with: "00000000-0000-7000-8000-000000000002")
        #expect(try await database.refusal(strays).contains("peer_votes_bound_to_artifact"))
    }

    @Test func `neither the author nor an agent of the same owner votes`() async throws {
        let database = try await withSession()
        #expect(try await database.refusal(vote("author")).contains("peer_votes_not_by_author"))
        #expect(try await database.refusal(vote("one", owner: "owner")).contains("peer_votes_not_by_author"))
    }

    @Test func `a decided session takes no votes and stays decided`() async throws {
        let database = try await withSession()
        let unexplained = "UPDATE peer_review_sessions SET status = 'approved', decided_at = now()"
        #expect(try await database.refusal(unexplained).contains("peer_review_sessions_decisions_are_explained"))
        try await database.sql(Self.decide)
        #expect(try await database.refusal(vote("late")).contains("peer_votes_while_open"))
        #expect(try await database.refusal(Self.decide).contains("peer_review_sessions_decided_once"))
        let reopen = "UPDATE peer_review_sessions SET status = 'open', decided_at = NULL"
        #expect(try await database.refusal(reopen).contains("peer_review_sessions_decided_once"))
    }

    @Test func `what was snapshotted at the opening cannot change`() async throws {
        let database = try await withSession()
        for change in ["reviewers = '[]'", "weight_total = 1", "quorum = 0.5", "artifact_sha256 = sha256('b')"] {
            let refusal = try await database.refusal("UPDATE peer_review_sessions SET \(change)")
            #expect(refusal.contains("peer_review_sessions_snapshot_is_fixed"), "\(change): \(refusal)")
        }
        try await database.sql("UPDATE peer_review_sessions SET deadline = deadline + interval '1 minute'")
    }

    @Test func `voters that also decide never wait for each other in a circle`() async throws {
        let database = try await withSession()
        let outcomes = try await withThrowingTaskGroup(of: PsqlRun.self) { group in
            for number in 1...6 {
                let both =
                    "BEGIN; \(vote("reviewer\(number)", role: "role\(number)")); SELECT pg_sleep(0.05); "
                    + "SELECT 1 FROM peer_review_sessions FOR UPDATE; "
                    + "\(Self.decide) WHERE (SELECT count(*) FROM peer_votes) = 6; COMMIT"
                group.addTask { try await database.outcome(both) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.allSatisfy { $0.status == 0 }, "\(outcomes.map(\.output))")
        #expect(try await database.sql("SELECT status FROM peer_review_sessions") == "approved")
    }

    @Test func `an escalation is filed once and resolved as a whole`() async throws {
        let database = try await MigrationDatabase.migrated()
        let insert =
            "INSERT INTO escalations (id, message_id, tenant_id, task_id, attempt, source, reason) "
            + "VALUES (gen_random_uuid(), 'm', 't', gen_random_uuid(), 1, 'peer-hub', 'no quorum')"
        try await database.sql(insert)
        #expect(try await database.refusal(insert).contains("escalations_filed_once"))
        let half = "UPDATE escalations SET status = 'resolved', resolved_at = now()"
        #expect(try await database.refusal(half).contains("escalations_resolved_whole"))
        #expect(try await database.refusal("UPDATE escalations SET rework_round = 4").contains("escalations_rework"))
        try await database.sql(half + ", resolution = 'rework', resolved_by = 'rule'")
    }
}
