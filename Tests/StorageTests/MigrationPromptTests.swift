import Testing

@Suite(.timeLimit(.minutes(10))) struct `Prompt versions` {
    @Test func `a proposal against an outdated base is refused`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer")
        for base in ["0", "2", "NULL"] {
            let late = "SELECT propose_prompt_update('developer', 'Late.', 'supervisor', \(base), NULL)"
            #expect(try await database.refusal(late).contains("GP409"))
        }
        #expect(try await database.sql("SELECT count(*) FROM agent_prompts") == "1")
    }

    @Test func `an approval is refused once another version became active`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        _ = try await propose(database, "security")
        try await database.sql("SELECT approve_prompt_update(2, 'admin', 'The better one.')")
        let late = try await database.refusal("SELECT approve_prompt_update(1, 'admin', 'And this.')")
        #expect(late.contains("GP409") && late.contains("based on version 0, but 2 is active"), "\(late)")
        #expect(try await database.sql("SELECT reject_prompt_update(1, 'admin', 'Outdated.')") == "t")
    }

    @Test func `an API key is whoever had it made, through as many keys as it takes`() async throws {
        let database = try await MigrationDatabase.migrated()
        let keys = [("gk_aaaaaaaa", "ada"), ("gk_bbbbbbbb", "key:gk_aaaaaaaa"), ("gk_cccccccc", "bob")]
        for (id, maker) in keys {
            try await database.sql(
                """
                INSERT INTO api_keys (id, tenant_id, label, role, hash, created_by, created_at)
                VALUES ('\(id)', 'acme', 'x', 'admin', sha256('\(id)'), '\(maker)', now())
                """)
        }
        let mine = ["ada", "Ada ", "key:gk_aaaaaaaa", "key:gk_bbbbbbbb"]
        for (number, proposer) in mine.enumerated() {
            try await database.sql("SELECT propose_prompt_update('security', 'Be good.', '\(proposer)', 0, 'x')")
            for approver in mine {
                let own = "SELECT approve_prompt_update(\(number + 1), '\(approver)', 'Fine.')"
                #expect(try await database.refusal(own).contains("GP403"), "\(approver) of \(proposer)'s")
            }
        }
        let strange =
            "SELECT prompt_owner('key:gk_zzzzzzzz'), prompt_owner('key:gk_cccccccc'), prompt_owner(NULL) IS NULL"
        #expect(try await database.sql(strange) == "key:gk_zzzzzzzz|bob|t")
        #expect(try await database.sql("SELECT approve_prompt_update(4, 'key:gk_cccccccc', 'Fine.')") == "t")
    }

    @Test func `versions are immutable`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        for change in ["content = 'Be bad.'", "content_sha256 = '\\x00'", "version = 7", "proposed_by = 'nobody'"] {
            #expect(try await database.refusal("UPDATE agent_prompts SET \(change)").contains("42501"), "\(change)")
        }
        #expect(try await database.refusal("DELETE FROM agent_prompts").contains("42501"))
        #expect(try await database.refusal("TRUNCATE agent_prompts CASCADE").contains("42501"))
        let jump = "UPDATE agent_prompts SET approval_status = 'auto_approved'"
        #expect(try await database.refusal(jump).contains("GP409"))
    }

    @Test func `a rollback activates an old version outside the limits`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("UPDATE learning_governance SET cooldown_hours = 0 WHERE agent_role = 'developer'")
        _ = try await propose(database, "developer")
        _ = try await propose(database, "developer", base: 1)
        try await database.sql("UPDATE learning_governance SET cooldown_hours = 2 WHERE agent_role = 'developer'")
        let before = try await database.sql(
            "SELECT last_update_at FROM learning_governance WHERE agent_role = 'developer'")
        #expect(try await database.sql("SELECT activate_prompt_version(1, 'admin', 'Version 2 failed.')") == "t")
        let after = "SELECT active_prompt_id, last_update_at FROM learning_governance WHERE agent_role = 'developer'"
        #expect(try await database.sql(after) == "1|\(before)")
        let counted = "SELECT updates_last_24h FROM governance_status WHERE agent_role = 'developer'"
        #expect(try await database.sql(counted) == "2")
        let moves = "SELECT kind, prompt_id, previous_prompt_id, activated_by FROM prompt_activations ORDER BY id"
        #expect(
            try await database.sql(moves) == "update|1||supervisor\nupdate|2|1|supervisor\nrollback|1|2|admin"
        )
        #expect(try await propose(database, "developer", "Be better.", base: 1) == "3|3|blocked|cooldown")
    }

    @Test func `a text that was rolled back from waits for a human, and another is approved by itself`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("UPDATE learning_governance SET cooldown_hours = 0 WHERE agent_role = 'developer'")
        _ = try await propose(database, "developer", "One.")
        _ = try await propose(database, "developer", "Two.", base: 1)
        try await database.sql("SELECT activate_prompt_version(1, 'admin', 'Version 2 failed.')")
        #expect(try await propose(database, "developer", "Two.", base: 1) == "3|3|pending_review|refused_before")
        let active = "SELECT active_version FROM governance_status WHERE agent_role = 'developer'"
        #expect(try await database.sql(active) == "1")
        #expect(try await propose(database, "tester", "Two.") == "4|1|auto_approved|within_limits", "Of another role.")
        #expect(try await propose(database, "developer", "Two!", base: 1) == "5|4|auto_approved|within_limits")
        try await database.sql("SELECT activate_prompt_version(1, 'admin', 'Version 4 failed.')")
        #expect(try await database.sql("SELECT approve_prompt_update(3, 'admin', 'It was not version 2.')") == "t")
        #expect(try await database.sql(active) == "3")
    }

    @Test func `a rollback refuses what it goes past, but not what was never active`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer", "One.")
        #expect(try await propose(database, "developer", "Blocked.", base: 1) == "2|2|blocked|cooldown")
        try await database.sql("UPDATE learning_governance SET cooldown_hours = 0 WHERE agent_role = 'developer'")
        _ = try await propose(database, "developer", "Two.", base: 1)
        _ = try await propose(database, "developer", "Three.", base: 3)
        try await database.sql("SELECT activate_prompt_version(1, 'admin', 'All of it failed.')")
        #expect(try await propose(database, "developer", "Two.", base: 1) == "5|5|pending_review|refused_before")
        #expect(try await propose(database, "developer", "Three.", base: 1) == "6|6|pending_review|refused_before")
        #expect(try await propose(database, "developer", "Blocked.", base: 1) == "7|7|auto_approved|within_limits")
    }

    @Test func `only what was approved can be rolled back to`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        let call = "SELECT activate_prompt_version(1, 'admin', 'why')"
        #expect(try await database.refusal(call).contains("was never approved"))
        try await database.sql("SELECT approve_prompt_update(1, 'admin', 'Fine.')")
        #expect(try await database.refusal(call).contains("is active already"))
        #expect(try await database.refusal("SELECT activate_prompt_version(1, 'admin', '')").contains("GP422"))
        #expect(try await database.refusal("SELECT activate_prompt_version(9, 'admin', 'why')").contains("GP404"))
    }

    @Test func `of proposals made at once one is active and the others are refused`() async throws {
        let database = try await MigrationDatabase.migrated()
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 1...8 {
                group.addTask {
                    let call = "SELECT verdict FROM propose_prompt_update('tester', 'x', 's', 0, '')"
                    return try await database.outcome(call).output
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == "auto_approved" }.count == 1, "\(outcomes)")
        #expect(outcomes.filter { $0.contains("GP409") }.count == 7, "\(outcomes)")
    }

    @Test func `proposals made at once for an unknown role each get a version`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await withThrowingTaskGroup { group in
            let slowly = "BEGIN; SELECT propose_prompt_update('plumber', 'x', 's', 0, ''); SELECT pg_sleep(0.1); COMMIT"
            for _ in 1...8 { group.addTask { _ = try await database.sql(slowly) } }
            try await group.waitForAll()
        }
        let versions = "SELECT string_agg(version::text, ' ' ORDER BY version) FROM agent_prompts"
        #expect(try await database.sql(versions) == "1 2 3 4 5 6 7 8")
    }

    @Test func `of approvals made at once one counts`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "plumber")
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 1...8 {
                group.addTask {
                    try await database.outcome("SELECT approve_prompt_update(1, 'admin\(number)', 'Fine.')").output
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == "t" }.count == 1, "\(outcomes)")
        #expect(outcomes.filter { $0.contains("GP409") }.count == 7, "\(outcomes)")
        #expect(try await database.sql("SELECT count(*) FROM prompt_activations") == "1")
    }

    @Test func `the statistics count what became of proposals`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer")
        _ = try await propose(database, "developer", base: 1)
        _ = try await propose(database, "plumber")
        let stats =
            "SELECT agent_role, proposals, auto_approved, approved, rejected, pending_review, blocked "
            + "FROM learning_stats WHERE proposals > 0"
        #expect(try await database.sql(stats) == "developer|2|1|0|0|0|1\nplumber|1|0|0|0|1|0")
        #expect(try await database.sql("SELECT count(*) FROM learning_stats") == "6")
    }

    @Test func `a pattern is open once per role and signature`() async throws {
        let database = try await MigrationDatabase.migrated()
        let insert =
            "INSERT INTO learning_patterns (agent_role, signature, classification) "
            + "VALUES ('developer', 'has_tests', 'skill_gap')"
        try await database.sql(insert)
        #expect(try await database.refusal(insert).contains("learning_patterns_one_open"))
        try await database.sql("UPDATE learning_patterns SET status = 'dismissed'")
        try await database.sql(insert)
    }
}
