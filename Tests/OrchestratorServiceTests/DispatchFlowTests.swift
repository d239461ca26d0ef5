import Contracts
import Foundation
import TestSupport
import Testing

/// What is handed out when, with real stores.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Dispatch flow` {
    /// Queues tasks that are too large for one statement together.
    private static func queueLarge(_ stack: OrchestratorUnderTest) async throws {
        _ = try await stack.sql(
            """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, input, created_at, updated_at)
            SELECT gen_random_uuid(), tenant, 'p', 'u', 'single', 1, 'maker-of-' || tenant, 'queued', 5,
                5, 600, now(), 1, to_json(repeat('x', bytes)), now(), now()
            FROM (VALUES ('acme', 25, 950000), ('beta', 25, 950000), ('calm', 25, 950000), ('zeta', 1, 1))
                AS t(tenant, count, bytes) CROSS JOIN generate_series(1, count)
            """)
    }

    @Test func `tasks that are too large for one statement together are handed out one after the other`() async throws {
        try await OrchestratorUnderTest.run(before: Self.queueLarge) { stack in
            try await eventually(within: .seconds(180)) {
                try await stack.sql("SELECT count(*) FROM tasks WHERE state = 'developing'") == "76"
            }
        }
    }

    @Test func `while the bus is away no task's time runs, and then all goes on`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.nats.crash()
            // Every replica can do without the bus, so it stays ready.
            try await eventually { try await !stack.get("/ready", token: nil).body.contains(#""nats":"ok""#) }
            let task = try await stack.submit(#"{"timeout_seconds":2,"max_attempts":1}"#)
            try await eventually {
                try await stack.sql("SELECT clock_timestamp() > created_at + interval '5 s' FROM tasks") == "t"
            }
            #expect(try await stack.state(of: task) == "queued")
            #expect(try await stack.sql("SELECT attempt FROM tasks") == "0")
            // The agent may be slow to come.
            _ = try await stack.sql("UPDATE tasks SET timeout_seconds = 600")
            try await stack.nats.restart()
            try await stack.withAgent(work: { _ in .completed(output: .emptyObject, usage: nil) }) {
                try await eventually { try await stack.state(of: task) == "completed" }
            }
        }
    }
}
