import Testing

@Suite struct `Append-only tables` {
    static let rows = [
        "task_events": """
        INSERT INTO task_events VALUES (gen_random_uuid(), 1, 't', 'task.created', 0, now(), '{}')
        """,
        "budget_transactions": """
        INSERT INTO budget_transactions (tenant_id, project_id, kind, usage_change, principal)
        VALUES ('t', 'p', 'adjust', 1, 'admin')
        """,
        "audit_log": """
        INSERT INTO audit_log (tenant_id, seq, at, actor, actor_role, action, resource, outcome, prev_hash, hash)
        VALUES ('t', 1, now(), 'u', 'admin', 'task.create', 'task', 'allowed', decode(repeat('00', 32), 'hex'),
            sha256('1'))
        """,
    ]

    @Test(arguments: rows.keys.sorted())
    func `rows are neither changed nor removed`(table: String) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(try #require(Self.rows[table]))
        for attempt in ["UPDATE \(table) SET tenant_id = 'x'", "DELETE FROM \(table)", "TRUNCATE \(table)"] {
            let refusal = try await database.refusal(attempt)
            #expect(refusal.contains("42501") && refusal.contains("append-only"), "\(refusal)")
        }
        #expect(try await database.sql("SELECT tenant_id FROM \(table)") == "t")
    }

    @Test func `only histories and votes may be purged, by a transaction that says so`() async throws {
        let database = try await MigrationDatabase.migrated()
        for table in Self.rows.keys.sorted() {
            try await database.sql(try #require(Self.rows[table]))
            let purge = "BEGIN; SET LOCAL golden.purge = '\(table)'; DELETE FROM \(table); COMMIT"
            if table == "task_events" {
                try await database.sql(purge)
                #expect(try await database.sql("SELECT count(*) FROM task_events") == "0")
            } else {
                #expect(try await database.refusal(purge).contains("append-only"), "\(table)")
            }
        }
        let other = "BEGIN; SET LOCAL golden.purge = 'peer_votes'; DELETE FROM task_events; COMMIT"
        #expect(try await database.refusal(other).contains("append-only"))
    }

    @Test func `an audit chain neither forks nor starts in the middle`() async throws {
        let database = try await MigrationDatabase.migrated()
        func entry(_ seq: Int, after previous: String) -> String {
            """
            INSERT INTO audit_log (tenant_id, seq, at, actor, actor_role, action, resource, outcome, prev_hash, hash)
            VALUES ('t', \(seq), now(), 'u', 'admin', 'task.create', 'task', 'allowed', \(previous), sha256('\(seq)'))
            """
        }
        let zero = "decode(repeat('00', 32), 'hex')"
        #expect(try await database.refusal(entry(2, after: zero)).contains("audit_log_starts_at_zero"))
        #expect(try await database.refusal(entry(1, after: "sha256('0')")).contains("audit_log_starts_at_zero"))
        try await database.sql(entry(1, after: zero))
        try await database.sql(entry(2, after: "sha256('1')"))
        #expect(try await database.refusal(entry(3, after: "sha256('1')")).contains("audit_log_does_not_fork"))
        #expect(try await database.refusal(entry(2, after: "sha256('2')")).contains("audit_log_pkey"))
        #expect(try await database.refusal(entry(3, after: "'\\x00'")).contains("audit_log_hashes_are_sha256"))
    }
}

@Suite struct `Budget tables` {
    @Test func `the ledger's sums are the account whatever changes the limit`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            BEGIN;
            SET LOCAL golden.principal = 'alice';
            INSERT INTO budget_limits (tenant_id, project_id, total_limit, current_usage) VALUES ('t', 'p', 1000, 10);
            INSERT INTO budget_limits (tenant_id, project_id, total_limit) VALUES ('t', 'p', 5)
                ON CONFLICT (tenant_id, project_id) DO UPDATE SET total_limit = 700;
            COMMIT;
            UPDATE budget_limits SET total_limit = 700;
            UPDATE budget_limits SET total_limit = 900;
            """
        )
        let sums = try await database.sql(
            """
            SELECT sum(limit_change), sum(usage_change), sum(reserved_change), count(*), min(principal)
            FROM budget_transactions
            """
        )
        #expect(sums == "900|10|0|3|alice")
        #expect(try await database.sql("SELECT total_limit, current_usage, version FROM budget_limits") == "900|10|3")
    }

    @Test func `a limit may be lowered below usage and only a raise lifts a block`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO budget_limits (tenant_id, project_id, total_limit, current_usage, overage, blocked_at)
            VALUES ('t', 'p', 100, 120, 20, now());
            UPDATE budget_limits SET total_limit = 50;
            """
        )
        #expect(try await database.sql("SELECT blocked_at IS NULL FROM budget_limits") == "f")
        try await database.sql("UPDATE budget_limits SET reserved = 1")
        #expect(try await database.sql("SELECT blocked_at IS NULL, version FROM budget_limits") == "f|2")
        try await database.sql("UPDATE budget_limits SET total_limit = 200")
        #expect(try await database.sql("SELECT blocked_at IS NULL, version FROM budget_limits") == "t|3")
        for wrong in ["total_limit = -1", "current_usage = -1", "reserved = -1", "overage = 121"] {
            #expect(try await database.refusal("UPDATE budget_limits SET \(wrong)").contains("23514"), "\(wrong)")
        }
    }

    @Test func `a reservation is settled once and as a whole`() async throws {
        let database = try await MigrationDatabase.migrated()
        func insert(_ state: String, actual: String, settled: String) -> String {
            """
            INSERT INTO budget_reservations (
                tenant_id, project_id, request_id, fingerprint, principal, amount, state, actual, expires_at, settled_at
            ) VALUES ('t', 'p', gen_random_uuid()::text, sha256('x'), 'u', 5, '\(state)', \(actual), now(), \(settled))
            """
        }
        for (state, actual, settled) in [
            ("pending", "NULL", "NULL"), ("committed", "4", "now()"), ("committed", "9", "now()"),
            ("released", "NULL", "now()"), ("expired", "NULL", "now()"), ("expired", "3", "now()"),
            ("denied", "NULL", "now()"),
        ] {
            try await database.sql(insert(state, actual: actual, settled: settled))
        }
        for (state, actual, settled) in [
            ("pending", "NULL", "now()"), ("pending", "1", "NULL"), ("committed", "NULL", "now()"),
            ("committed", "1", "NULL"), ("released", "1", "now()"), ("denied", "1", "now()"), ("lost", "NULL", "now()"),
            ("committed", "-1", "now()"),
        ] {
            let refusal = try await database.refusal(insert(state, actual: actual, settled: settled))
            #expect(refusal.contains("23514"), "\(state) \(actual) \(settled): \(refusal)")
        }
    }

    @Test func `a dead letter is filed once and resolved at a time`() async throws {
        let database = try await MigrationDatabase.migrated()
        let insert =
            "INSERT INTO dlq_messages (message_id, original_subject, data, reason) "
            + "VALUES ('dlq:WORK:1', 'work.developer', '', 'undecodable')"
        try await database.sql(insert)
        #expect(try await database.refusal(insert).contains("dlq_messages_filed_once"))
        try await database.sql(insert + " ON CONFLICT (message_id) DO NOTHING")
        let half = "UPDATE dlq_messages SET resolved = TRUE"
        #expect(try await database.refusal(half).contains("dlq_messages_resolved_at_a_time"))
        try await database.sql(half + ", resolved_at = NOW(), resolution_notes = 'Fixed.'")
        #expect(try await database.sql("SELECT count(*) FROM dlq_messages WHERE resolved") == "1")
    }
}
