import Contracts
import Foundation
import Storage
import Testing

/// What the relay reads, page by page.
@Suite(.timeLimit(.minutes(10))) struct `Outbox store` {
    private static func message(_ number: Int) -> OutboxMessage {
        OutboxMessage(
            messageID: "m\(number)", subject: Subject.work(AgentRole(literal: "developer")).text,
            payload: JSONWriter.object { $0.field("p", String(repeating: "x", count: 100)) },
            tenant: TenantID(literal: "acme"), task: TaskID(UUID()), traceparent: nil)
    }

    @Test func `a page ends at so many messages or so many bytes, and the next goes on behind it`() async throws {
        try await MigrationDatabase.migrated().withPool { pool async throws in
            let store = OutboxStore(pool: pool)
            for number in 1...5 { try await store.refill(from: [Self.message(number)]) }
            func page(
                _ limit: Int, _ bytesMax: Int, after last: WaitingMessage? = nil
            ) async throws -> [WaitingMessage] {
                try await store.overdue(age: .zero, after: last, limit: limit, bytesMax: bytesMax)
            }
            let first = try await page(10, 250)
            #expect(first.map(\.message.messageID) == ["m1", "m2", "m3"])
            let second = try await page(10, 250, after: first.last)
            #expect(second.map(\.message.messageID) == ["m4", "m5"])
            #expect(try await page(10, 250, after: second.last).isEmpty)
            #expect(try await page(2, 250).map(\.message.messageID) == ["m1", "m2"])
            #expect(try await page(10, 1).map(\.message.messageID) == ["m1"], "one that is larger comes alone")
            try await store.forget(["m1", "m3"])
            #expect(try await page(2, 10_000).map(\.message.messageID) == ["m2", "m4"])
        }
    }

    @Test func `messages of one moment are told apart`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await database.sql(
            """
            INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, created_at)
            SELECT 'm' || n, 'work.developer', '{}', 'acme', gen_random_uuid(), now() - interval '1 min'
            FROM generate_series(1, 9) n
            """)
        try await database.withPool { pool async throws in
            let store = OutboxStore(pool: pool)
            var read: [String] = []
            var last: WaitingMessage?
            repeat {
                let page = try await store.overdue(age: .zero, after: last, limit: 2, bytesMax: 1000)
                read += page.map(\.message.messageID)
                last = page.last
            } while last != nil
            #expect(read == (1...9).map { "m\($0)" })
        }
    }
}

/// What is derived again when messages are lost, page by page.
@Suite(.timeLimit(.minutes(10))) struct `Running attempts` {
    @Test func `they are counted by role, and read in pages of so many bytes`() async throws {
        let database = try await MigrationDatabase.migrated()
        _ = try await database.sql(
            """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, attempt, stage_attempt, lease_token, dispatched_at,
                deadline, input, draft, created_at, updated_at)
            SELECT gen_random_uuid(), 'acme', 'p', 'u', 'single', 1, role, 'developing', 5, 5, 60, now(), 1, 1, 1, 't',
                now() - age, now() + interval '1 hour', '{"a":1234}', '{"b":1234}', now(), now()
            FROM (VALUES ('developer', interval '1 min'), ('tester', interval '1 min'), ('tester', interval '1 s'))
                kinds (role, age), generate_series(1, 7)
            """)
        let (developer, tester) = (AgentRole(literal: "developer"), AgentRole(literal: "tester"))
        try await database.withPool { pool async throws in
            let records = ReconciliationStore(pool: pool)
            #expect(try await records.runningCounts(age: .seconds(45)) == [developer: 7, tester: 7])
            #expect(try await records.runningCounts(age: .zero) == [developer: 7, tester: 14])
            var sizes: [Int] = []
            var read: Set<TaskID> = []
            var last: TaskID?
            repeat {
                let page = try await records.running(
                    role: tester, age: .seconds(45), after: last, limit: 100, bytesMax: 50)
                sizes.append(page.count)
                read.formUnion(page.map(\.task.id))
                last = page.last?.task.id
            } while last != nil
            #expect(sizes == [3, 3, 1, 0] && read.count == 7)
            let all = try await records.running(role: nil, age: .zero, after: nil, limit: 20, bytesMax: 1 << 20)
            #expect(all.count == 20 && all.first?.draft?.text == #"{"b":1234}"#)
        }
    }
}
