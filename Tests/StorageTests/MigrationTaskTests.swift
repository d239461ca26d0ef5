import Testing

/// What a row of `tasks` may not be, whoever writes it.
@Suite(.timeLimit(.minutes(10))) struct `Task constraints` {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Columns that differ from a sound queued task's.
        let columns: [String: String]
        /// The constraint that refuses it; nil when the row is sound.
        var constraint: String?
    }

    static let lease = ["lease_token": "'t'", "dispatched_at": "now()", "deadline": "now()", "attempt": "1"]

    static let sound: [Row] =
        [
            Row(testDescription: "queued", columns: [:]),
            Row(
                testDescription: "canceled while queued",
                columns: [
                    "state": "'canceled'", "cancel_reason": "'x'", "ended_at": "now()",
                ]),
            Row(
                testDescription: "failed",
                columns: [
                    "state": "'failed'", "error_code": "'x'", "error_message": "'x'", "ended_at": "now()",
                ]),
            Row(
                testDescription: "rejected",
                columns: [
                    "state": "'rejected'", "error_code": "'x'", "error_message": "'x'", "ended_at": "now()",
                ]),
            Row(
                testDescription: "completed", columns: ["state": "'completed'", "output": "'{}'", "ended_at": "now()"]),
            Row(
                testDescription: "canceling",
                columns: lease.merging(["state": "'canceling'", "cancel_reason": "'x'"]) { $1 }),
        ]
        + ["developing", "testing", "deploying", "awaiting_approval", "escalated"].map { state in
            Row(testDescription: state, columns: lease.merging(["state": "'\(state)'"]) { $1 })
        } + [Row(testDescription: "reviewing", columns: lease.merging(reviewed) { $1 })]

    static let reviewed = [
        "state": "'reviewing'", "review_round": "1", "draft": "'{}'", "draft_agent": "'a'", "draft_role": "'r'",
        "draft_attempt": "1",
    ]

    static let unsound: [Row] = [
        Row(
            testDescription: "no such state", columns: lease.merging(["state": "'done'"]) { $1 },
            constraint: "tasks_state_is_known"),
        Row(testDescription: "priority 10", columns: ["priority": "10"], constraint: "tasks_priority_is_0_to_9"),
        Row(testDescription: "priority -1", columns: ["priority": "-1"], constraint: "tasks_priority_is_0_to_9"),
        Row(
            testDescription: "more attempts at a stage than at all", columns: ["stage_attempt": "1"],
            constraint: "tasks_counters_are_sane"),
        Row(
            testDescription: "no attempt", columns: ["attempt_max": "0"], constraint: "tasks_counters_are_sane"),
        Row(
            testDescription: "queued and ended", columns: ["ended_at": "now()"], constraint: "tasks_ended_when_terminal"
        ),
        Row(
            testDescription: "completed and not ended", columns: ["state": "'completed'"],
            constraint: "tasks_ended_when_terminal"),
        Row(
            testDescription: "queued with a lease", columns: ["lease_token": "'t'"],
            constraint: "tasks_leased_while_underway"),
        Row(
            testDescription: "developing without a lease", columns: ["state": "'developing'", "attempt": "1"],
            constraint: "tasks_leased_while_underway"),
        Row(
            testDescription: "developing without a deadline",
            columns: lease.merging([
                "state": "'developing'", "deadline": "NULL",
            ]) { $1 }, constraint: "tasks_leased_while_underway"),
        Row(
            testDescription: "completed with a lease",
            columns: lease.merging([
                "state": "'completed'", "ended_at": "now()",
            ]) { $1 }, constraint: "tasks_leased_while_underway"),
        Row(
            testDescription: "canceling for no reason", columns: lease.merging(["state": "'canceling'"]) { $1 },
            constraint: "tasks_reason_fits_state"),
        Row(
            testDescription: "failed for no reason", columns: ["state": "'failed'", "ended_at": "now()"],
            constraint: "tasks_reason_fits_state"),
        Row(
            testDescription: "queued with an output", columns: ["output": "'{}'"], constraint: "tasks_reason_fits_state"
        ),
    ]

    @Test func `every state of a sound task is accepted`() async throws {
        let database = try await MigrationDatabase.migrated()
        for row in Self.sound { try await database.sql(Self.insert(row)) }
        #expect(try await database.sql("SELECT count(DISTINCT state) FROM tasks") == "12")
    }

    @Test func `an unsound task is refused by the constraint that says why`() async throws {
        let database = try await MigrationDatabase.migrated()
        for row in Self.unsound {
            let refusal = try await database.refusal(Self.insert(row))
            #expect(row.constraint.map(refusal.contains) == true, "\(row.testDescription): \(refusal)")
        }
        #expect(try await database.sql("SELECT count(*) FROM tasks") == "0")
    }

    @Test func `the dispatcher's and the reconciler's questions use their indexes`() async throws {
        let database = try await MigrationDatabase.migrated()
        for state in ["queued", "developing"] {
            let columns = (state == "queued" ? [:] : Self.lease).merging(["state": "'\(state)'"]) { $1 }
            let row = Self.insert(Row(testDescription: state, columns: columns))
            try await database.sql("\(row) FROM generate_series(1, 5000)")
        }
        try await database.sql("UPDATE tasks SET held_label = 'a=1' WHERE state = 'queued' AND random() < 0.5")
        let plans = [
            "tasks_dispatch":
                "SELECT * FROM tasks WHERE state = 'queued' AND held_label IS NULL AND role = 'developer' "
                + "AND tenant_id = 't' AND run_at <= now() ORDER BY priority DESC, run_at, id LIMIT 10",
            "tasks_held":
                "SELECT * FROM tasks WHERE state = 'queued' AND held_label IS NOT NULL AND role = 'developer' "
                + "AND tenant_id = 't' AND held_label = 'a=1' ORDER BY priority DESC, run_at, id LIMIT 10",
            "tasks_in_flight":
                "SELECT id FROM tasks WHERE state IN ('developing', 'testing', 'reviewing', 'deploying', "
                + "'canceling') AND deadline < now() - interval '1 day' ORDER BY deadline LIMIT 10",
            "tasks_listing": "SELECT * FROM tasks WHERE tenant_id = 't' ORDER BY id DESC LIMIT 10",
        ]
        try await database.sql("ANALYZE tasks")
        for (index, query) in plans {
            let plan = try await database.sql("EXPLAIN \(query)")
            #expect(plan.contains("using \(index)") && !plan.contains("Sort"), "\(plan)")
        }
    }

    private static func insert(_ row: Row) -> String {
        let sound = [
            "id": "gen_random_uuid()", "tenant_id": "'t'", "project_id": "'p'", "principal": "'u'",
            "workflow": "'single'", "workflow_version": "1", "role": "'developer'", "state": "'queued'",
            "priority": "5", "attempt_max": "5", "timeout_seconds": "60", "run_at": "now()", "event_seq": "1",
            "input": "'{}'", "created_at": "now()", "updated_at": "now()",
        ]
        let columns = sound.merging(row.columns) { $1 }.sorted { $0.key < $1.key }
        let names = columns.map(\.key).joined(separator: ", ")
        return "INSERT INTO tasks (\(names)) SELECT \(columns.map(\.value).joined(separator: ", "))"
    }
}
