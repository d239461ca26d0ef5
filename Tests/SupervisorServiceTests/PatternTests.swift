import Contracts
import Foundation
import Postgres
import Storage
import Testing

/// Failures that recur become one proposal, and governance decides on it.
@Suite(.timeLimit(.minutes(5))) struct `Patterns` {
    /// Nothing is resolved by rules: what is looked at is what is learned.
    static let watching = ["GOLDEN_SUPERVISOR_AUTOMATIC_MAX": "0"]

    /// Files escalations without their messages, as if those were lost, all at once.
    static func fail(
        _ count: Int, _ role: String, _ failed: String, _ test: SupervisorUnderTest, ago: String = "0"
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask {
                    let id = UUID().uuidString
                    try await test.pool.script(
                        """
                        INSERT INTO escalations (id, message_id, tenant_id, task_id, attempt, source, agent_role, reason,
                            guard, rework_round, created_at)
                        VALUES ('\(id)', '\(id)', 'acme', gen_random_uuid(), 4, 'guard', '\(role)',
                            'After 3 rounds of rework this still fails: \(failed).', '\(failed)', 3,
                            clock_timestamp() - interval '\(ago)')
                        """)
                }
            }
            try await group.waitForAll()
        }
    }

    static func untilLearned(_ test: SupervisorUnderTest) async throws {
        try await eventually {
            try await test.sql("SELECT count(*) FROM escalations WHERE learned_at IS NULL OR status = 'open'") == "0"
        }
    }

    @Test func `sixty-four like failures at once propose once`() async throws {
        try await SupervisorUnderTest.run(supervisors: 3, environment: Self.watching) { test in
            try await Self.fail(64, "security", "security_approved", test)
            try await Self.untilLearned(test)
            #expect(try await test.sql("SELECT status, occurrences FROM learning_patterns") == "proposed|64")
            let prompts = "SELECT proposed_by, base_version, approval_status FROM agent_prompts"
            #expect(try await test.sql(prompts) == "supervisor|0|pending_review")
            let patterns = try await test.get("/governance/patterns", role: "operator")
            #expect(patterns.status == 200 && patterns.body.contains(#""prompt_status":"pending_review""#))
            #expect(patterns.body.components(separatedBy: "escalation_id").count == 21, "The newest are its evidence.")
            let prompt = try await test.get("/governance/prompts/1", role: "operator")
            #expect(prompt["content"]?.contains(Guard.securityApproved.fix) == true, "\(prompt.body)")
            let approved = try await test.send(
                "POST", "/governance/prompts/1/approve", "{}", test.token("admin", subject: "ada"))
            #expect(approved.status == 200 && approved.body.contains(#""active":true"#), "\(approved.body)")
        }
    }

    @Test func `two like failures, or three in more than a day, are no pattern`() async throws {
        try await SupervisorUnderTest.run(environment: Self.watching) { test in
            try await Self.fail(2, "tester", "has_tests", test)
            try await Self.fail(1, "tester", "has_tests", test, ago: "25 hours")
            try await Self.fail(2, "developer", "has_tests", test)
            try await Self.fail(2, "tester", "code_quality", test)
            try await Self.untilLearned(test)
            #expect(try await test.sql("SELECT count(*) FROM learning_patterns") == "0")
            try await Self.fail(1, "tester", "has_tests", test, ago: "23 hours")
            try await Self.untilLearned(test)
            #expect(try await test.sql("SELECT agent_role, occurrences FROM learning_patterns") == "tester|3")
        }
    }

    @Test func `what governance blocks says why and until when, and is not proposed again`() async throws {
        try await SupervisorUnderTest.run(supervisors: 2, environment: Self.watching) { test in
            try await Self.fail(3, "tester", "has_tests", test)
            try await Self.untilLearned(test)
            try await Self.fail(3, "tester", "code_quality", test)
            try await Self.untilLearned(test)
            let until = try await test.sql(
                "SELECT to_char((last_update_at + interval '2 hours') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') "
                    + "FROM learning_governance WHERE agent_role = 'tester'")
            let patterns = try await test.get("/governance/patterns?status=proposed&limit=1", role: "operator")
            #expect(
                patterns.body.contains(#""prompt_status":"blocked","verdict_reason":"cooldown""#), "\(patterns.body)")
            #expect(patterns.body.contains("Blocked until \(until)"), "\(patterns.body)")
            #expect(patterns.body.contains(#""next_cursor""#), "The first one stands on the next page.")
            // It goes on failing while a human has not decided.
            try await Self.fail(5, "tester", "code_quality", test)
            try await Self.untilLearned(test)
            let counts = "SELECT status, occurrences FROM learning_patterns ORDER BY id"
            #expect(try await test.sql(counts) == "proposed|3\nproposed|8")
            let verdicts = "SELECT proposed_by, approval_status FROM agent_prompts ORDER BY version"
            #expect(try await test.sql(verdicts) == "supervisor|auto_approved\nsupervisor|blocked")
            #expect(try await test.sql("SELECT count(*) FROM agent_prompts") == "2")
            let both = try await test.sql("SELECT content FROM agent_prompts WHERE version = 2")
            #expect(both.contains(Guard.hasTests.fix) && both.contains(Guard.codeQuality.fix))
        }
    }

    @Test func `a lesson that did not help is watched, not repeated`() async throws {
        try await SupervisorUnderTest.run(environment: Self.watching) { test in
            try await Self.fail(3, "tester", "has_tests", test)
            try await Self.untilLearned(test)
            try await Self.fail(4, "tester", "has_tests", test)
            try await Self.untilLearned(test)
            let patterns = "SELECT status, occurrences FROM learning_patterns ORDER BY id"
            #expect(try await test.sql(patterns) == "proposed|3\nopen|4")
            #expect(try await test.sql("SELECT count(*) FROM agent_prompts") == "1")
            let open = try await test.get("/governance/patterns?role=tester&status=open", role: "operator")
            #expect(open.body.contains(#""occurrences":4"#) && !open.body.contains("prompt_id"), "\(open.body)")
        }
    }

    @Test func `a lesson that a human rolled back from comes back only through a human`() async throws {
        try await SupervisorUnderTest.run(environment: Self.watching) { test in
            let cooled = "UPDATE learning_governance SET last_update_at = NULL WHERE agent_role = 'tester'"
            _ = try await test.sql(
                "SELECT propose_prompt_update('tester', 'Test first.', 'ada', 0, 'The first one.'); \(cooled)")
            for _ in 0..<2 {
                try await Self.fail(3, "tester", "has_tests", test)
                try await Self.untilLearned(test)
            }
            let patterns = "SELECT status, occurrences FROM learning_patterns ORDER BY id"
            #expect(try await test.sql(patterns) == "proposed|3\nopen|3")
            _ = try await test.sql(
                "SELECT activate_prompt_version(1, 'ada', 'Version 2 made reviews fail.'); \(cooled)")
            try await Self.fail(1, "tester", "has_tests", test)
            try await Self.untilLearned(test)
            #expect(try await test.sql(patterns) == "proposed|3\nproposed|4")
            let verdicts = "SELECT approval_status, decision_reason FROM agent_prompts WHERE version > 1 ORDER BY id"
            #expect(try await test.sql(verdicts) == "auto_approved|within_limits\npending_review|refused_before")
            let texts = "SELECT count(DISTINCT content) FROM agent_prompts WHERE version > 1"
            #expect(try await test.sql(texts) == "1", "It is the very text.")
            let active = "SELECT active_version FROM governance_status WHERE agent_role = 'tester'"
            #expect(try await test.sql(active) == "1")
        }
    }
}
