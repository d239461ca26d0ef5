import Testing

@Suite(.timeLimit(.minutes(10))) struct `Append-only tables` {
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

@Suite(.timeLimit(.minutes(10))) struct `Budget tables` {
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

    @Test func `what is unresolved is known beside the letters, whoever changes them`() async throws {
        let database = try await MigrationDatabase.migrated()
        func open() async throws -> String {
            try await database.sql(
                """
                SELECT count(*), count(*) FILTER (WHERE m.id = u.letter_id AND NOT m.resolved
                    AND m.created_at = u.created_at)
                FROM dlq_unresolved u LEFT JOIN dlq_messages m ON m.id = u.letter_id
                """)
        }
        try await database.sql(
            """
            INSERT INTO dlq_messages (message_id, original_subject, data, reason, error_count, resolved, resolved_at)
            SELECT 'm' || n, 'work.developer', '', 'undecodable', n, n > 90, CASE WHEN n > 90 THEN now() END
            FROM generate_series(1, 100) n
            """)
        #expect(try await open() == "90|90")
        try await database.sql("UPDATE dlq_messages SET resolved = true, resolved_at = now() WHERE error_count <= 30")
        #expect(try await open() == "60|60")
        try await database.sql("UPDATE dlq_messages SET resolved = false, resolved_at = NULL WHERE error_count <= 10")
        #expect(try await open() == "70|70")
        try await database.sql("UPDATE dlq_messages SET created_at = created_at - interval '1 day'")
        #expect(try await open() == "70|70")
        try await database.sql("DELETE FROM dlq_messages WHERE error_count <= 20 OR error_count > 80")
        #expect(try await open() == "50|50")
        try await database.sql("TRUNCATE dlq_messages")
        #expect(try await open() == "0|0")
    }

    @Test func `settling a letter leaves every index alone`() async throws {
        let database = try await MigrationDatabase.migrated()
        let updates = """
            SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'dlq_messages'
            """
        let counted = try await database.sql(
            """
            INSERT INTO dlq_messages (message_id, original_subject, data, reason)
            SELECT 'm' || n, 'work.developer', repeat('x', 300), 'undecodable' FROM generate_series(1, 500) n;
            BEGIN;
            UPDATE dlq_messages SET resolved = true, resolved_at = now(), resolved_by = 'somebody',
                resolution_notes = 'replayed', replay_count = 1, replayed_at = now(), replay_id = gen_random_uuid();
            \(updates);
            COMMIT;
            """)
        #expect(counted == "500|500")
    }

    @Test func `taking the letters' tables back writes out which replay settled them`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            INSERT INTO dlq_messages (
                id, message_id, original_subject, data, reason, resolved, resolved_at, resolved_by, resolution_notes,
                replay_count, replayed_at, replay_id
            ) VALUES (
                '0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60', 'm', 'work.developer', '', 'r', true, now(), 'op', 'replayed',
                1, now(), '0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f61'
            )
            """)
        try await database.takeBack(after: "017_release_lineage.sql")
        let entry = try await database.sql(
            "SELECT history -> 0 ->> 'what', history -> 0 ->> 'message_id', history -> 0 ->> 'replay_id' "
                + "FROM dlq_messages")
        let id = "0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f6"
        #expect(entry == "replayed|replay:\(id)0:1|\(id)1")
    }
}
