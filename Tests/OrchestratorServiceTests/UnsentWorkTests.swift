import Contracts
import Foundation
import Testing

/// Attempts whose work the bus never took.
@Suite(.timeLimit(.minutes(5))) struct `Unsent work` {
    @Test func `an attempt that nobody was sent by its deadline is handed out anew, and was no try`() async throws {
        let task = UUID().uuidString.lowercased()
        // Its only attempt is over, and its work lies in the outbox, since no stream takes it.
        let lies = """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt, stage_attempt, attempt_max, timeout_seconds, run_at, lease_token, dispatched_at, deadline,
                event_seq, input, created_at, updated_at)
            VALUES ('\(task)', 'acme', 'p', 'u', 'single', 1, 'developer', 'developing', 5,
                1, 1, 1, 600, now(), 'lease', now() - interval '1 hour', now() - interval '1 s',
                2, '{}', now() - interval '1 hour', now());
            INSERT INTO task_events (task_id, sequence, tenant_id, kind, attempt, at, data)
            VALUES ('\(task)', 1, 'acme', 'task.created', 0, now(), '{}'),
                ('\(task)', 2, 'acme', 'task.dispatched', 1, now(), '{}');
            INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, created_at)
            VALUES ('\(task).1', 'nowhere.at-all', '{}', 'acme', '\(task)', now() - interval '1 hour')
            """
        try await OrchestratorUnderTest.run(before: { _ = try await $0.sql(lies) }) { stack in
            try await stack.withAgent(work: { item in
                #expect(item.attempt == 2)
                return .completed(output: .emptyObject, usage: nil)
            }) {
                try await eventually { try await stack.state(of: task) == "completed" }
            }
            #expect(try await stack.sql("SELECT attempt, stage_attempt FROM tasks") == "2|1")
            #expect(try await stack.sql("SELECT count(*) FROM outbox WHERE subject = 'nowhere.at-all'") == "0")
            let events = try await stack.get("/tasks/\(task)/events", token: stack.token())
            #expect(events.body.contains(#""code":"not_sent""#) && events.body.contains(#""attempts_left":1"#))
        }
    }
}
