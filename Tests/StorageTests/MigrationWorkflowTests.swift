import Testing

/// What 009 keeps of workflows and of work that is judged.
@Suite(.timeLimit(.minutes(10))) struct `Workflow tables` {
    private static let workflow = """
        INSERT INTO workflows (tenant_id, name, version, definition, created_by)
        VALUES ('t', 'mine', 1, '{"stages":[{"name":"w","kind":"work","role":"r"}]}', 'me')
        """

    private static func task(_ workflow: String, columns: String = "", values: String = "") -> String {
        """
        INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
            attempt_max, timeout_seconds, run_at, event_seq, input, created_at, updated_at\(columns))
        VALUES (gen_random_uuid(), 't', 'p', 'u', '\(workflow)', 1, 'r', 'queued', 5, 1, 1, now(), 1, '{}', now(),
            now()\(values))
        """
    }

    @Test func `a version of a workflow stays as it is`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(Self.workflow)
        #expect(try await database.refusal(Self.workflow).contains("workflows_pkey"))
        #expect(try await database.refusal("UPDATE workflows SET definition = '{}'").contains("append-only"))
        #expect(try await database.refusal("DELETE FROM workflows").contains("append-only"))
        try await database.sql(Self.workflow.replacing("'t'", with: "'other'"))
    }

    @Test func `rework is bounded, and a task that ended keeps neither plan nor draft`() async throws {
        let database = try await MigrationDatabase.migrated()
        let four = Self.task("single", columns: ", rework", values: ", 4")
        #expect(try await database.refusal(four).contains("tasks_rework_is_bounded"))
        try await database.sql(Self.task("single", columns: ", rework, plan, draft", values: ", 3, '{}', '{}'"))
        let end = "UPDATE tasks SET state = 'canceled', cancel_reason = 'x', ended_at = now()"
        #expect(try await database.refusal(end).contains("tasks_keep_drafts_until_ended"))
        try await database.sql("\(end), plan = NULL, draft = NULL")
    }

    @Test func `009 is taken back only when no task needs it any more`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(Self.workflow)
        try await database.sql(Self.task("single"))
        try await database.sql(Self.task("mine"))
        let file = try #require(MigrationDatabase.files.first { $0.contains("workflow_stages") })
        try await database.takeBack(after: file)
        let refused = try await database.run(file: "down/\(file)")
        #expect(refused.status != 0)
        #expect(refused.output.contains("1 tasks of tenants' own workflows"), "\(refused.output)")
        try await database.sql(
            "UPDATE tasks SET state = 'canceled', cancel_reason = 'x', ended_at = now() WHERE workflow = 'mine'")
        try await database.run(file: "down/\(file)").check()
        #expect(try await database.sql("SELECT count(*) FROM workflows") == "0")
    }

    @Test func `deadlines of tasks nobody works on are found by their index`() async throws {
        let database = try await MigrationDatabase.migrated()
        for (state, count) in [("queued", 5000), ("escalated", 50)] {
            let lease = state == "queued" ? "NULL, NULL, NULL, 0" : "'l', now(), now() - interval '1 day', 1"
            try await database.sql(
                """
                INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state,
                    priority, attempt_max, timeout_seconds, run_at, event_seq, input, created_at, updated_at,
                    lease_token, dispatched_at, deadline, attempt)
                SELECT gen_random_uuid(), 't', 'p', 'u', 'single', 1, 'r', '\(state)', 5, 1, 1, now(), 1, '{}', now(),
                    now(), \(lease) FROM generate_series(1, \(count))
                """)
        }
        try await database.sql("ANALYZE tasks")
        let plan = try await database.sql(
            "EXPLAIN SELECT id FROM tasks WHERE state IN ('awaiting_approval', 'escalated') AND deadline < now() "
                + "ORDER BY deadline LIMIT 10")
        #expect(plan.contains("using tasks_waiting") && !plan.contains("Sort"), "\(plan)")
    }
}
