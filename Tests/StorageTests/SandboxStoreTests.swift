import Contracts
import Foundation
import Postgres
import Storage
import Testing

/// Each run is claimed by one executor at a time and has one result.
@Suite struct `Sandbox store` {
    static let tenant = TenantID(literal: "acme")

    private func with(_ body: (SandboxStore, MigrationDatabase) async throws -> Void) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in try await body(SandboxStore(pool: pool), database) }
    }

    private func new(_ id: ExecutionID = ExecutionID(UUID()), tenant: TenantID = tenant) -> NewExecution {
        NewExecution(
            id: id, tenant: tenant, caller: "alice", language: "python",
            request: JSONWriter.object { $0.field("code", "x") }, requestHash: [UInt8](repeating: 1, count: 32),
            traceparent: nil)
    }

    private func accepted(_ store: SandboxStore, _ tenant: TenantID = tenant) async throws -> Execution {
        guard case .accepted(let execution) = try await store.admit(new(tenant: tenant), waitingMax: 100) else {
            throw StoreError(.guardFailed, "not accepted")
        }
        return execution
    }

    /// The lease of a run is over.
    private func expire(_ execution: ExecutionID, _ database: MigrationDatabase) async throws {
        _ = try await database.sql(
            "UPDATE sandbox_executions SET lease_until = now() - interval '1 s' WHERE id = '\(execution)'")
    }

    private static let ok = SandboxOutcome(status: .ok)

    @Test func `so many of one tenant wait, and another's do not count`() async throws {
        try await with { store, _ in
            for _ in 0..<3 {
                guard case .accepted = try await store.admit(new(), waitingMax: 3) else {
                    throw StoreError(.guardFailed, "refused")
                }
            }
            guard case .full = try await store.admit(new(), waitingMax: 3) else {
                throw StoreError(.guardFailed, "accepted")
            }
            _ = try await accepted(store, TenantID(literal: "other"))
            #expect(try await store.waiting(limit: 100).count == 4)
            let tickets = try await store.waiting(limit: 2).tickets
            #expect(Set(tickets.map(\.tenant)).count == 2, "the first of each tenant come first")
        }
    }

    /// Whether it is refused where the tenant may have one waiting.
    private func isFull(
        _ store: SandboxStore, _ id: ExecutionID, of task: TaskID, tenant: TenantID = tenant
    ) async throws -> Bool {
        var asked = new(id, tenant: tenant)
        asked.task = task
        if case .full = try await store.admit(asked, waitingMax: 1) { return true }
        return false
    }

    @Test func `a task's own test stands in line beyond the bound, and what only names the task does not`()
        async throws
    {
        try await with { store, database in
            let other = TenantID(literal: "other")
            for tenant in [Self.tenant, other] { _ = try await accepted(store, tenant) }
            let (tested, developed) = (TaskID(UUID()), TaskID(UUID()))
            let (run, attempt) = (ExecutionID(UUID()), ExecutionID(UUID()))
            for (task, state, token) in [(tested, "testing", run), (developed, "developing", attempt)] {
                try await database.sql(
                    """
                    INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state,
                        priority, attempt_max, timeout_seconds, run_at, event_seq, attempt, stage_attempt, lease_token,
                        dispatched_at, deadline, input, created_at, updated_at)
                    VALUES ('\(task)', 'acme', 'p', 'u', 'single', 1, 'developer', '\(state)', 5, 5, 60, now(), 7, 2, 1,
                        '\(token)', now(), now() + interval '60 s', '{}', now(), now())
                    """)
            }
            let forged = try await isFull(store, ExecutionID(UUID()), of: tested)
            let foreign = try await isFull(store, run, of: tested, tenant: other)
            let early = try await isFull(store, attempt, of: developed)
            let own = try await isFull(store, run, of: tested)
            #expect(forged && foreign && early && !own)
            let waiting = try await store.waiting(limit: 9).tickets.filter { $0.tenant == Self.tenant }
            #expect(waiting.count == 2 && waiting.last?.id == run, "behind those that came before it")
        }
    }

    @Test func `a table without what executors need of it is told apart`() async throws {
        try await with { store, database in
            try await store.checkSchema()
            try await database.sql("ALTER TABLE sandbox_executions DROP COLUMN lost")
            await #expect(throws: (any Error).self) { try await store.checkSchema() }
        }
    }

    @Test func `of tasks nobody runs another tenant's is not behind all of one tenant's`() async throws {
        let database = try await MigrationDatabase.migrated()
        let last = try #require(TaskID("ffffffff-ffff-7fff-bfff-ffffffffffff"))
        try await database.sql(
            """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, attempt, stage_attempt, lease_token, dispatched_at,
                deadline, input, created_at, updated_at)
            SELECT id, tenant, 'p', 'u', 'single', 1, 'developer', 'testing', 5, 5, 60, now(), 7, 2, 1,
                gen_random_uuid()::text, now() - interval '61 s', now() + interval '60 s', '{}', now(), now()
            FROM (
                SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id, 'acme' AS tenant
                FROM generate_series(1, 150) n
                UNION ALL SELECT '\(last)', 'beta'
            ) t
            """)
        try await database.withPool { pool async throws in
            let store = TaskExecutionStore(pool: pool)
            let first = try await store.unasked(age: .seconds(60), limit: 100)
            #expect(first.count == 100 && first.contains(last))
            let all = try await store.unasked(age: .seconds(60), limit: 200)
            #expect(all.count == 151)
        }
    }

    @Test func `an id is one run`() async throws {
        try await with { store, _ in
            let id = ExecutionID(UUID())
            guard case .accepted = try await store.admit(new(id), waitingMax: 9),
                case .exists(let known) = try await store.admit(new(id), waitingMax: 9)
            else { throw StoreError(.guardFailed, "It was accepted twice.") }
            #expect(known.id == id && known.state == .queued)
            #expect(try await store.find(id, tenant: TenantID(literal: "other")) == nil)
        }
    }

    @Test func `one executor has it, and only that one ends it`() async throws {
        try await with { store, _ in
            let execution = try await accepted(store)
            let claimed = try #require(try await store.claim(execution.id, by: "a"))
            #expect(claimed.execution.tries == 1 && claimed.request.text == #"{"code":"x"}"#)
            #expect(try await store.claim(execution.id, by: "b") == nil)
            #expect(try await !store.end(claimed.execution, by: "b", outcome: Self.ok, pieces: ""))
            #expect(try await store.renew([execution.id], by: "b").isEmpty)
            #expect(try await store.renew([execution.id], by: "a") == [execution.id: false])
            #expect(try await store.end(claimed.execution, by: "a", outcome: Self.ok, pieces: "o1"))
            #expect(try await !store.end(claimed.execution, by: "a", outcome: Self.ok, pieces: "o1"))
            let ended = try #require(try await store.find(execution.id, tenant: Self.tenant))
            #expect(ended.ending?.outcome == Self.ok && ended.ending?.pieces == "o1" && ended.lastTry == 1)
        }
    }

    @Test func `a lost executor's run waits again, and what it still brings counts for nothing`() async throws {
        try await with { store, database in
            let execution = try await accepted(store)
            let lost = try #require(try await store.claim(execution.id, by: "a")).execution
            #expect(try await store.takeBack() == 0, "its lease holds")
            try await expire(execution.id, database)
            #expect(try await store.takeBack() == 1)
            let second = try #require(try await store.claim(execution.id, by: "a")).execution
            #expect(second.tries == 2)
            #expect(try await !store.end(lost, by: "a", outcome: Self.ok, pieces: ""), "of an earlier try")
            #expect(try await store.end(second, by: "a", outcome: Self.ok, pieces: ""))
            let ended = try #require(try await store.find(execution.id, tenant: Self.tenant))
            #expect(ended.ending?.pieces == "" && ended.lastTry == 2, "its executor has told the end")
        }
    }

    @Test func `what loses its executor too often ends, once`() async throws {
        try await with { store, database in
            let execution = try await accepted(store)
            for time in 1...SandboxStore.lostMax {
                _ = try #require(try await store.claim(execution.id, by: "a"))
                try await expire(execution.id, database)
                #expect(try await store.takeBack() == 1)
                let found = try #require(try await store.find(execution.id, tenant: Self.tenant))
                #expect((found.state == .ended) == (time == SandboxStore.lostMax))
            }
            let ended = try #require(try await store.find(execution.id, tenant: Self.tenant))
            #expect(ended.ending?.status == .sandboxError && ended.ending?.outcome?.failure?.code == "executor_lost")
            #expect(ended.tries == SandboxStore.lostMax && ended.lastTry == SandboxStore.lostMax + 1)
            #expect(try await store.claim(execution.id, by: "b") == nil)
        }
    }

    @Test func `an executor that gives a run back has not lost it`() async throws {
        try await with { store, database in
            let execution = try await accepted(store)
            for _ in 0..<5 {
                let claimed = try #require(try await store.claim(execution.id, by: "a")).execution
                try await store.release(claimed, by: "a")
            }
            _ = try #require(try await store.claim(execution.id, by: "b"))
            try await expire(execution.id, database)
            #expect(try await store.takeBack() == 1)
            let back = try #require(try await store.find(execution.id, tenant: Self.tenant))
            #expect(back.state == .queued && back.tries == 6)
        }
    }

    @Test func `what is to be canceled ends when its executor gives it back`() async throws {
        try await with { store, _ in
            let execution = try await accepted(store)
            let claimed = try #require(try await store.claim(execution.id, by: "a")).execution
            #expect(try await store.cancel(execution.id, tenant: Self.tenant)?.state == .running)
            try await store.release(claimed, by: "b")
            #expect(try await store.find(execution.id, tenant: Self.tenant)?.state == .running, "it is a's to give")
            try await store.release(claimed, by: "a")
            let ended = try #require(try await store.find(execution.id, tenant: Self.tenant))
            #expect(ended.state == .ended && ended.ending?.outcome == SandboxOutcome(status: .canceled))
            #expect(ended.tries == 1 && ended.lastTry == 2)
            #expect(try await store.waiting(limit: 9).count == 0)
            #expect(try await store.claim(execution.id, by: "b") == nil)
        }
    }

    @Test func `canceled, one that waits ends, one that runs is asked, one that ended stays`() async throws {
        try await with { store, database in
            let waiting = try await accepted(store)
            #expect(try await store.cancel(waiting.id, tenant: TenantID(literal: "other")) == nil)
            let canceled = try #require(try await store.cancel(waiting.id, tenant: Self.tenant))
            #expect(canceled.ending?.status == .canceled && canceled.lastTry == 1)
            #expect(try await store.claim(waiting.id, by: "a") == nil)
            let running = try await accepted(store)
            let claimed = try #require(try await store.claim(running.id, by: "a")).execution
            #expect(try await store.cancel(running.id, tenant: Self.tenant)?.isCancelRequested == true)
            #expect(try await store.renew([running.id], by: "a") == [running.id: true])
            try await expire(running.id, database)
            #expect(try await store.takeBack() == 1, "its executor is gone: it is not begun again")
            #expect(try await store.find(running.id, tenant: Self.tenant)?.ending?.status == .canceled)
            #expect(try await !store.end(claimed, by: "a", outcome: Self.ok, pieces: ""))
            #expect(try await store.cancel(running.id, tenant: Self.tenant) == nil)
        }
    }

    @Test func `results are published until it is confirmed, and forgotten afterwards`() async throws {
        try await with { store, database in
            let execution = try await accepted(store)
            let claimed = try #require(try await store.claim(execution.id, by: "a")).execution
            #expect(try await store.end(claimed, by: "a", outcome: Self.ok, pieces: ""))
            #expect(try await store.unpublished(limit: 9).isEmpty, "its executor has a moment for it")
            // An end is never moved, so the table's guard stands aside for this test.
            _ = try await database.sql(
                "ALTER TABLE sandbox_executions DISABLE TRIGGER USER; UPDATE sandbox_executions SET ended_at = now() - "
                    + "interval '1 hour'; ALTER TABLE sandbox_executions ENABLE TRIGGER USER")
            #expect(try await store.unpublished(limit: 9).map(\.id) == [execution.id])
            #expect(try await store.purge(olderThanSeconds: 60, limit: 9) == 0)
            try await store.markPublished([execution.id])
            #expect(try await store.unpublished(limit: 9).isEmpty)
            #expect(try await store.purge(olderThanSeconds: 60, limit: 9) == 1)
        }
    }

    @Test func `the table itself keeps a result as it is`() async throws {
        try await with { store, database in
            let execution = try await accepted(store)
            _ = try await store.cancel(execution.id, tenant: Self.tenant)
            let outcome = try await database.refusal(
                "UPDATE sandbox_executions SET status = 'ok' WHERE id = '\(execution.id)'")
            #expect(outcome.contains("has ended already"), "\(outcome)")
        }
    }
}
