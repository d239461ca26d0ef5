import Testing

/// What 012 keeps of escalations while the supervisor works on them.
@Suite(.timeLimit(.minutes(10))) struct `Supervisor tables` {
    private static let file = """
        INSERT INTO escalations (id, message_id, tenant_id, task_id, attempt, source, agent_role, reason)
        SELECT id, id, 'acme', gen_random_uuid(), 1, 'failure', 'developer', 'x' FROM (SELECT gen_random_uuid() AS id) i
        """

    @Test(arguments: [
        ("decision = '{}'", "escalations_decided_whole"), ("decision_rule = 'x'", "escalations_decided_whole"),
        ("analysis_form = 'synthesis'", "escalations_asked_whole"),
        ("analysis_form = 'poem'", "escalations_analysis_form_is_known"),
        ("status = 'analyzing'", "escalations_analyzed_by_somebody"),
        ("status = 'waiting_for_human'", "escalations_wait_for_a_reason"),
        ("status = 'waiting_for_human', human_reason = 'x'", "escalations_wait_for_a_reason"),
        ("signature = ''", "escalations_signature_is_short"),
    ])
    func `half a step is refused`(change: String, constraint: String) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(Self.file)
        #expect(try await database.refusal("UPDATE escalations SET \(change)").contains(constraint))
    }

    @Test func `what was over is not counted late, and taking 012 back keeps the outcomes`() async throws {
        let database = try await MigrationDatabase.migrated()
        let name = try #require(MigrationDatabase.files.first { $0.contains("supervisor") })
        for _ in 0..<3 { try await database.sql(Self.file) }
        try await database.sql(
            """
            UPDATE escalations SET status = 'resolved', resolution = 'rework', resolved_by = 'ada', resolved_at = now()
            WHERE id = (SELECT min(id::text)::uuid FROM escalations);
            UPDATE escalations SET status = 'waiting_for_human', human_reason = 'no_analyst', waiting_since = now()
            WHERE id = (SELECT max(id::text)::uuid FROM escalations);
            """)
        try await database.takeBack(after: name)
        try await database.run(file: "down/\(name)").check()
        let states = "SELECT string_agg(status, ' ' ORDER BY status) FROM escalations"
        #expect(try await database.sql(states) == "open open resolved")
        try await database.sql("SELECT propose_prompt_update('security', 'Be good.', 'key:gk_aaaaaaaa', 0, 'x')")
        try await database.run(file: name).check()
        let counted = "SELECT counted_at = resolved_at FROM escalations WHERE status = 'resolved'"
        #expect(try await database.sql(counted) == "t")
        #expect(try await database.sql("SELECT count(*) FROM escalations WHERE counted_at IS NOT NULL") == "1")
    }
}
