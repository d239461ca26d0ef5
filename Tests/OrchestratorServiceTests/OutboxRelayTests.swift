import Contracts
import Foundation
import TestSupport
import Testing

/// What is committed and cannot be published holds up nothing else.
@Suite struct `Outbox relay` {
    @Test func `messages that no stream takes stay, and hold up none behind them`() async throws {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.sql(
                """
                INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, created_at)
                SELECT 'homeless-' || n, 'nowhere.at-all', '{}', 'acme', gen_random_uuid(), now() - interval '1 hour'
                FROM generate_series(1, 600) n;
                INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, created_at)
                VALUES ('late', 'work.nobody', '{}', 'acme', gen_random_uuid(), now() - interval '1 minute')
                """)
            try await eventually {
                try await stack.sql("SELECT count(*) FROM outbox WHERE message_id = 'late'") == "0"
            }
            #expect(try await stack.sql("SELECT count(*) FROM outbox") == "600")
        }
    }

    @Test func `work that is too large for the bus escalates its task and leaves the outbox`() async throws {
        try await OrchestratorUnderTest.run { stack in
            // The server's bound is 1 MiB: the input is below it, and beyond it with what it is handed with.
            let input = String(repeating: "x", count: (1 << 20) - 64)
            let task = try await stack.submit(#"{"input":"\#(input)"}"#)
            try await eventually { try await stack.state(of: task) == "escalated" }
            #expect(try await stack.sql("SELECT source FROM escalations") == "dead_letter")
            let id = try #require(try await stack.get("/tasks/\(task)", token: stack.token())["escalation_id"])
            let shown = try await stack.get("/escalations/\(id)", token: stack.token())
            #expect(shown["reason"]?.contains("never published") == true, "\(shown.body)")
            try await eventually { try await stack.sql("SELECT count(*) FROM outbox") == "0" }
        }
    }

    @Test func `nothing is read from the outbox while the bus is away`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await eventually { try await stack.sweeps > 0 }
            try await stack.nats.crash()
            try await eventually {
                let before = try await stack.sweeps
                try await Task.sleep(for: .seconds(4))
                return try await stack.sweeps == before
            }
            let before = try await stack.sweeps
            try await stack.nats.restart()
            try await eventually { try await stack.sweeps > before }
        }
    }
}

extension OrchestratorUnderTest {
    /// How often the outbox was asked what is overdue.
    fileprivate var sweeps: Int {
        get async throws {
            let name = #"db_query_duration_seconds_count{statement="OverdueOutbox"} "#
            let lines = try await get("/metrics", token: nil).body.split(separator: "\n")
            return lines.first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count)) } ?? 0
        }
    }
}
