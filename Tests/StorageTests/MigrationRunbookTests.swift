import Testing

/// The statements of the customer's runbooks and checklist, as they stand there.
@Suite(.timeLimit(.minutes(10))) struct `Runbooks` {
    @Test func `dead letters are looked at`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO dlq_messages (message_id, original_subject, data, reason, error_count, created_at)
            VALUES ('dlq:WORK:1', 'work.developer', '{"a":1}', 'undecodable', 5, '2026-01-01Z'),
                ('dlq:WORK:2', 'work.developer', '{"a":2}', 'undecodable', 5, '2026-01-02Z')
            """
        )
        let rows = try await database.sql(
            """
            SELECT original_subject, error_count, data
            FROM dlq_messages
            WHERE resolved = FALSE
            ORDER BY created_at DESC
            LIMIT 10;
            """
        )
        #expect(rows == "work.developer|5|{\"a\":2}\nwork.developer|5|{\"a\":1}")
        let counts = try await database.sql(
            """
            SELECT original_subject, COUNT(*)
            FROM dlq_messages
            WHERE resolved = FALSE
            GROUP BY original_subject;
            """
        )
        #expect(counts == "work.developer|2")
        #expect(try await database.sql("SELECT COUNT(*) FROM dlq_messages WHERE resolved = FALSE;") == "2")
    }

    @Test func `an exhausted budget is raised, and the ledger knows`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO budget_limits (tenant_id, project_id, total_limit) VALUES ('tenant-123', 'default', 1000);
            UPDATE budget_limits SET blocked_at = now() WHERE tenant_id = 'tenant-123';
            """
        )
        let account = try await database.sql("SELECT * FROM budget_limits WHERE tenant_id = 'tenant-123';")
        #expect(account.hasPrefix("tenant-123|default|1000|0|0|"))
        try await database.sql(
            """
            UPDATE budget_limits
            SET total_limit = 2000000
            WHERE tenant_id = 'tenant-123';
            """
        )
        let after = try await database.sql("SELECT total_limit, blocked_at IS NULL, version FROM budget_limits")
        #expect(after == "2000000|t|2")
        let ledger = try await database.sql(
            """
            SELECT * FROM budget_transactions
            WHERE tenant_id = 'tenant-123'
            ORDER BY timestamp DESC
            LIMIT 20;
            """
        )
        #expect(ledger.split(separator: "\n").count == 2)
        let kinds = try await database.sql("SELECT kind, limit_change, principal FROM budget_transactions ORDER BY id")
        #expect(kinds == "open|1000|golden\nlimit|1999000|golden")
    }

    @Test func `blocked learning is looked at, approved and released`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO agent_prompts (
                id, agent_role, version, base_version, content, proposed_by, approval_status, decision_reason
            ) VALUES (123, 'developer', 1, 0, 'Test first.', 'supervisor', 'pending_review', 'human_approval_required')
            """
        )
        let status = try await database.sql("SELECT * FROM governance_status WHERE agent_role = 'developer';")
        #expect(status.hasPrefix("developer|ready|t|5|0|2|f|"))
        let pending = try await database.sql(
            """
            SELECT * FROM agent_prompts
            WHERE approval_status = 'pending_review';
            """
        )
        #expect(pending.hasPrefix("123|developer|1|"))
        let approval = "SELECT approve_prompt_update(123, 'admin', 'Reviewed and approved');"
        #expect(try await database.sql(approval) == "t")
        #expect(try await database.sql("SELECT can_auto_update_prompt('developer');") == "f")
        try await database.sql(
            """
            UPDATE learning_governance
            SET last_update_at = NULL
            WHERE agent_role = 'developer';
            """
        )
        #expect(try await database.sql("SELECT can_auto_update_prompt('developer');") == "t")
        #expect(try await database.sql("SELECT * FROM governance_status;").split(separator: "\n").count == 5)
    }
}
