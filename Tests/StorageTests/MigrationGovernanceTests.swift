import Testing

/// The rules of governance are SQL functions; so are these tests.
@Suite(.timeLimit(.minutes(10))) struct `Prompt governance` {
    @Test func `the default rules are the agreed ones`() async throws {
        let database = try await MigrationDatabase.migrated()
        let rules = try await database.sql(
            """
            SELECT agent_role, max_updates_per_day, cooldown_hours, require_human_approval,
                can_auto_update_prompt(agent_role)
            FROM learning_governance ORDER BY agent_role
            """
        )
        #expect(
            rules == """
                architect|2|12|t|f
                developer|5|2|f|t
                reviewer|3|4|f|t
                security|1|24|t|f
                tester|5|2|f|t
                """
        )
    }

    @Test func `an update within the limits is active at once`() async throws {
        let database = try await MigrationDatabase.migrated()
        #expect(try await propose(database, "developer") == "1|1|auto_approved|within_limits")
        let active =
            "SELECT p.version, p.approval_status FROM learning_governance g "
            + "JOIN agent_prompts p ON p.id = g.active_prompt_id"
        #expect(try await database.sql(active) == "1|auto_approved")
        let hash = "SELECT content_sha256 = sha256('Be good.') FROM agent_prompts"
        #expect(try await database.sql(hash) == "t")
    }

    @Test func `the cooldown blocks and says until when`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer")
        #expect(try await propose(database, "developer", base: 1) == "2|2|blocked|cooldown")
        let status =
            "SELECT status, can_auto_update, next_auto_at = last_update_at + interval '2 hours' "
            + "FROM governance_status WHERE agent_role = 'developer'"
        #expect(try await database.sql(status) == "cooldown|f|t")
        try await age(database, "developer", "2 hours 1 second")
        #expect(try await propose(database, "developer", base: 1) == "3|3|auto_approved|within_limits")
        try await age(database, "developer", "1 hour 59 minutes")
        #expect(try await propose(database, "developer", base: 3) == "4|4|blocked|cooldown")
    }

    @Test func `the daily limit counts the last 24 hours`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("UPDATE learning_governance SET cooldown_hours = 0 WHERE agent_role = 'reviewer'")
        for version in 1...3 {
            let answer = try await propose(database, "reviewer", base: version - 1)
            #expect(answer == "\(version)|\(version)|auto_approved|within_limits")
        }
        #expect(try await propose(database, "reviewer", base: 3) == "4|4|blocked|daily_limit")
        let status =
            "SELECT status, updates_last_24h, next_auto_at > now() + interval '23 hours' "
            + "FROM governance_status WHERE agent_role = 'reviewer'"
        #expect(try await database.sql(status) == "daily_limit|3|t")
        try await database.sql("UPDATE learning_governance SET max_updates_per_day = 4 WHERE agent_role = 'reviewer'")
        #expect(try await propose(database, "reviewer", base: 3) == "5|5|auto_approved|within_limits")
    }

    @Test func `updates older than a day no longer count`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            """
            UPDATE learning_governance SET max_updates_per_day = 1, cooldown_hours = 0 WHERE agent_role = 'tester';
            SELECT propose_prompt_update('tester', 'Be good.', 'supervisor', 0, NULL);
            """
        )
        #expect(try await database.sql("SELECT can_auto_update_prompt('tester')") == "f")
        try await database.sql(
            """
            ALTER TABLE prompt_activations DISABLE TRIGGER ALL;
            UPDATE prompt_activations SET activated_at = activated_at - interval '24 hours';
            """
        )
        #expect(try await database.sql("SELECT can_auto_update_prompt('tester')") == "t")
    }

    @Test func `a limit of none blocks every update`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("UPDATE learning_governance SET max_updates_per_day = 0 WHERE agent_role = 'tester'")
        #expect(try await propose(database, "tester") == "1|1|blocked|daily_limit")
    }

    @Test(arguments: [
        ("security", "human_approval_required"), ("architect", "human_approval_required"),
        ("plumber", "unknown_role"),
    ])
    func `a role that needs a human waits for one`(role: String, reason: String) async throws {
        let database = try await MigrationDatabase.migrated()
        #expect(try await database.sql("SELECT can_auto_update_prompt('\(role)')") == "f")
        #expect(try await propose(database, role) == "1|1|pending_review|\(reason)")
        let inactive = "SELECT count(*) FROM prompt_activations"
        #expect(try await database.sql(inactive) == "0")
        #expect(try await database.sql("SELECT approve_prompt_update(1, 'admin', 'Fine.')") == "t")
        let active =
            "SELECT active_prompt_id, require_human_approval, last_update_at IS NOT NULL "
            + "FROM learning_governance WHERE agent_role = '\(role)'"
        #expect(try await database.sql(active) == "1|t|t")
        #expect(try await propose(database, role, base: 1) == "2|2|pending_review|human_approval_required")
    }

    @Test(arguments: ["supervisor", "SUPERVISOR", " supervisor "])
    func `nobody approves their own proposal`(approver: String) async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        let refusal = try await database.refusal("SELECT approve_prompt_update(1, '\(approver)', 'Mine.')")
        #expect(refusal.contains("GP403"), "\(refusal)")
        let direct =
            "UPDATE agent_prompts SET approval_status = 'approved', reviewed_by = '\(approver)', "
            + "reviewed_at = now() WHERE id = 1"
        #expect(try await database.refusal(direct).contains("agent_prompts_not_approved_by_proposer"))
        #expect(try await database.sql("SELECT approval_status FROM agent_prompts") == "pending_review")
    }

    @Test func `a decision is made once`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        _ = try await propose(database, "architect")
        try await database.sql("SELECT approve_prompt_update(1, 'admin', 'Fine.')")
        #expect(try await database.sql("SELECT reject_prompt_update(2, 'supervisor', 'Withdrawn.')") == "t")
        for prompt in 1...2 {
            for verb in ["approve", "reject"] {
                let again = try await database.refusal("SELECT \(verb)_prompt_update(\(prompt), 'other', 'Again.')")
                #expect(again.contains("GP409"), "\(again)")
            }
        }
        let kept = "SELECT approval_status, reviewed_by, review_notes FROM agent_prompts ORDER BY id"
        #expect(try await database.sql(kept) == "approved|admin|Fine.\nrejected|supervisor|Withdrawn.")
    }

    @Test func `a text that was rejected waits for a human, and another is approved by itself`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer", "One.")
        #expect(try await propose(database, "developer", "Two.", base: 1) == "2|2|blocked|cooldown")
        try await database.sql("SELECT reject_prompt_update(2, 'admin', 'Not this.')")
        let within = try await propose(database, "developer", "Two.", base: 1)
        #expect(within == "3|3|pending_review|refused_before", "No time makes it pass: it is not said to be blocked.")
        try await age(database, "developer", "2 hours 1 second")
        #expect(try await propose(database, "developer", "Two.", base: 1) == "4|4|pending_review|refused_before")
        #expect(try await propose(database, "developer", "Two!", base: 1) == "5|5|auto_approved|within_limits")
        #expect(try await database.sql("SELECT approval_status FROM agent_prompts WHERE id = 3") == "pending_review")
    }

    @Test func `what does not exist or is not named is refused`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "security")
        #expect(try await database.refusal("SELECT approve_prompt_update(99, 'admin', 'x')").contains("GP404"))
        #expect(try await database.refusal("SELECT reject_prompt_update(99, 'admin', 'x')").contains("GP404"))
        #expect(try await database.refusal("SELECT approve_prompt_update(1, ' ', 'x')").contains("GP422"))
        #expect(try await database.refusal("SELECT approve_prompt_update(1, NULL, 'x')").contains("GP422"))
        let empty = "SELECT propose_prompt_update('developer', '', 'supervisor', 0, NULL)"
        #expect(try await database.refusal(empty).contains("GP422"))
    }

    /// Governance blocks machines. A human who approves what it blocked counts towards its limits like any update.
    @Test func `a human may approve what the cooldown blocked`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await propose(database, "developer")
        #expect(try await propose(database, "developer", base: 1) == "2|2|blocked|cooldown")
        #expect(try await database.sql("SELECT approve_prompt_update(2, 'admin', 'Urgent.')") == "t")
        let status = "SELECT active_version, updates_last_24h FROM governance_status WHERE agent_role = 'developer'"
        #expect(try await database.sql(status) == "2|2")
    }

    private func age(_ database: MigrationDatabase, _ role: String, _ by: String) async throws {
        try await database.sql(
            "UPDATE learning_governance SET last_update_at = now() - interval '\(by)' WHERE agent_role = '\(role)'"
        )
    }
}

/// Proposes a version; answers prompt id, version, verdict and reason.
func propose(
    _ database: MigrationDatabase, _ role: String, _ content: String = "Be good.", base: Int = 0
) async throws -> String {
    try await database.sql(
        "SELECT * FROM propose_prompt_update('\(role)', '\(content)', 'supervisor', \(base), 'test')")
}
