import Testing

/// What 011 keeps of work that waits for its peers.
@Suite(.timeLimit(.minutes(10))) struct `Review stage tables` {
    private static let draft = ", review_round, draft, draft_agent, draft_role, draft_attempt"

    private static func task(_ state: String, columns: String = "", values: String = "") -> String {
        let lease = state == "queued" ? "NULL, NULL, NULL, 0" : "gen_random_uuid()::text, now(), now(), 1"
        return """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, input, created_at, updated_at,
                lease_token, dispatched_at, deadline, attempt\(columns))
            VALUES (gen_random_uuid(), 't', 'p', 'u', 'reviewed', 1, 'r', '\(state)', 5, 1, 1, now(), 1, '{}', now(),
                now(), \(lease)\(values))
            """
    }

    @Test func `what is reviewed is somebody's work`() async throws {
        let database = try await MigrationDatabase.migrated()
        let refused = try await database.refusal(Self.task("reviewing"))
        #expect(refused.contains("tasks_reviewed_work_is_somebodys"))
        let half = Self.task("queued", columns: ", draft_agent", values: ", 'a'")
        #expect(try await database.refusal(half).contains("tasks_drafts_have_whole_authors"))
        let prompt = Self.task("queued", columns: ", draft_prompt_version", values: ", 1")
        #expect(try await database.refusal(prompt).contains("tasks_drafts_have_whole_authors"))
        let negative = Self.task("queued", columns: ", review_round", values: ", -1")
        #expect(try await database.refusal(negative).contains("tasks_review_round_counts"))
        try await database.sql(Self.task("reviewing", columns: Self.draft, values: ", 1, '{}', 'a', 'r', 1"))
    }

    @Test func `what a review said of a prompt stays said`() async throws {
        let database = try await MigrationDatabase.migrated()
        func review(_ decision: String, sentBack: Bool = false, version: Int = 1) -> String {
            """
            INSERT INTO prompt_reviews (session_id, tenant_id, task_id, attempt, round, agent_role, prompt_version,
                decision, sent_back, decided_at)
            VALUES (gen_random_uuid(), 't', gen_random_uuid(), 1, 1, 'r', \(version), '\(decision)', \(sentBack), now())
            """
        }
        #expect(try await database.refusal(review("open")).contains("prompt_reviews_decision_is_known"))
        let kept = try await database.refusal(review("approved", sentBack: true))
        #expect(kept.contains("prompt_reviews_only_refused_work_is_sent_back"))
        #expect(try await database.refusal(review("approved", version: 0)).contains("prompt_reviews_version_from_1"))
        try await database.sql(review("rejected", sentBack: true))
        #expect(try await database.refusal("UPDATE prompt_reviews SET decision = 'approved'").contains("append-only"))
        #expect(try await database.refusal("DELETE FROM prompt_reviews").contains("append-only"))
    }

    @Test func `011 is taken back only when no task is reviewed any more`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(Self.task("reviewing", columns: Self.draft, values: ", 1, '{}', 'a', 'r', 1"))
        let file = try #require(MigrationDatabase.files.first { $0.contains("review_stages") })
        try await database.takeBack(after: file)
        let refused = try await database.run(file: "down/\(file)")
        #expect(refused.status != 0)
        #expect(refused.output.contains("1 tasks with reviews have not ended"), "\(refused.output)")
        try await database.sql(
            """
            UPDATE tasks SET state = 'canceled', cancel_reason = 'x', ended_at = now(), draft = NULL,
                lease_token = NULL, dispatched_at = NULL, deadline = NULL
            """)
        try await database.run(file: "down/\(file)").check()
        try await database.run(file: file).check()
    }

    @Test func `tasks that wait for their peers are found by their index`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, input, created_at, updated_at, lease_token,
                dispatched_at, deadline, attempt)
            SELECT gen_random_uuid(), 't', 'p', 'u', 'single', 1, 'r', 'developing', 5, 1, 1, now(), 1, '{}', now(),
                now(), 'l', now(), now(), 1 FROM generate_series(1, 5000)
            """)
        try await database.sql(Self.task("reviewing", columns: Self.draft, values: ", 1, '{}', 'a', 'r', 1"))
        try await database.sql("ANALYZE tasks")
        let plan = try await database.sql("EXPLAIN SELECT lease_token::uuid FROM tasks WHERE state = 'reviewing'")
        #expect(plan.contains("tasks_under_review"), "\(plan)")
    }
}
