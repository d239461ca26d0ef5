import Contracts
import Foundation
import Storage
import Testing

/// What is known of tasks whose time is over.
@Suite(.timeLimit(.minutes(10))) struct `Overdue tasks` {
    private static let tenant = TenantID(literal: "acme")

    /// A task of that state whose lease has passed its deadline; answers its id.
    private static func overdue(
        _ state: String, token: String = "t", attempt: Int = 2, _ database: MigrationDatabase
    ) async throws -> TaskID {
        let id = TaskID(UUID())
        try await database.sql(
            """
            INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
                attempt_max, timeout_seconds, run_at, event_seq, attempt, stage_attempt, lease_token, dispatched_at,
                deadline, input, cancel_reason, created_at, updated_at)
            VALUES ('\(id)', 'acme', 'p', 'u', 'single', 1, 'developer', '\(state)', 5, 5, 60, now(), 7, \(attempt), 1,
                '\(token)', now() - interval '61 s', now() - interval '1 s', '{}', 'r', now(), now())
            """)
        return id
    }

    private static func message(_ name: String, of task: TaskID) -> OutboxMessage {
        OutboxMessage(
            messageID: name, subject: Subject.work(AgentRole(literal: "developer")).text, payload: .emptyObject,
            tenant: tenant, task: task, traceparent: nil)
    }

    @Test func `an attempt is unsent while its own work waits in the outbox`() async throws {
        let database = try await MigrationDatabase.migrated()
        let unsent = try await Self.overdue("developing", database)
        let deploying = try await Self.overdue("deploying", attempt: 11, database)
        let sent = try await Self.overdue("developing", database)
        let canceling = try await Self.overdue("canceling", database)
        let asked = try await Self.overdue("awaiting_approval", database)
        try await database.withPool { pool async throws in
            let outbox = OutboxStore(pool: pool)
            try await outbox.refill(from: [
                Self.message("\(unsent).2", of: unsent), Self.message("\(deploying).11", of: deploying),
                // Of an earlier attempt, and derived again after it was sent.
                Self.message("\(sent).1", of: sent), Self.message("\(sent).2.r9", of: sent),
                Self.message("\(canceling).2", of: canceling),
            ])
            let found = try await ReconciliationStore(pool: pool).overdue(limit: 10)
            #expect(Set(found.map(\.task)) == [unsent, deploying, sent, canceling, asked])
            #expect(Set(found.filter(\.isUnsent).map(\.task)) == [unsent, deploying])
            #expect(found.first { $0.task == deploying }?.attempt == 11)
            #expect(found.allSatisfy { $0.run == nil && $0.tenant == Self.tenant })
            let others = try await ReconciliationStore(pool: pool).overdue(besides: [Self.tenant], limit: 10)
            #expect(others.isEmpty)
        }
    }

    @Test func `a task under test comes with its run, once the sandbox has it`() async throws {
        let database = try await MigrationDatabase.migrated()
        let runs = (0..<4).map { _ in ExecutionID(UUID()) }
        let waiting = try await Self.overdue("testing", token: "\(runs[0])", database)
        let running = try await Self.overdue("testing", token: "\(runs[1])", database)
        let unknown = try await Self.overdue("testing", token: "\(runs[2])", database)
        let others = try await Self.overdue("testing", token: "\(runs[3])", database)
        try await database.withPool { pool async throws in
            let sandbox = SandboxStore(pool: pool)
            let beta = TenantID(literal: "beta")
            for (id, tenant) in [(runs[0], Self.tenant), (runs[1], Self.tenant), (runs[3], beta)] {
                let new = NewExecution(
                    id: id, tenant: tenant, caller: "stage:test", language: "python", request: .emptyObject,
                    requestHash: [UInt8](repeating: 1, count: 32), traceparent: nil)
                guard case .accepted = try await sandbox.admit(new, waitingMax: 9) else {
                    Issue.record("it was not accepted")
                    return
                }
            }
            let claimed = try #require(try await sandbox.claim(runs[1], by: "a")).execution
            func found(_ task: TaskID) async throws -> OverdueTask.Run? {
                let overdue = try await ReconciliationStore(pool: pool).overdue(limit: 10)
                #expect(overdue.count == 4)
                return overdue.first { $0.task == task }?.run
            }
            let first = try #require(try await found(waiting))
            #expect(first.id == runs[0] && first.state == .queued && first.startedAt == nil)
            let second = try #require(try await found(running))
            #expect(second.id == runs[1] && second.state == .running && second.startedAt == claimed.startedAt)
            #expect(try await found(unknown) == nil)
            #expect(try await found(others) == nil, "of another tenant")
            let ok = SandboxOutcome(status: .ok)
            #expect(try await sandbox.end(claimed, by: "a", outcome: ok, pieces: ""))
            #expect(try await found(running)?.state == .ended)
        }
    }

    @Test func `what is withdrawn leaves the outbox with the task's change, and with nothing else`() async throws {
        try await MigrationDatabase.migrated().withPool { pool async throws in
            let store = TaskStore(pool: pool)
            let outbox = OutboxStore(pool: pool)
            let admission = AdmissionTest.admission(Self.tenant, key: "1")
            #expect(try await store.admit(admission) == .admitted)
            let id = admission.task.id
            try await outbox.refill(from: ["\(id).1", "\(id).2"].map { Self.message($0, of: id) })
            func waiting() async throws -> [String] {
                try await outbox.overdue(age: .zero, after: nil, limit: 9, bytesMax: 1 << 20).map(\.message.messageID)
            }
            @Sendable func step(from sequence: Int) -> TaskChange {
                var task = admission.task
                task.eventSequence = 1
                return TaskChange(
                    previousSequence: sequence, task: task, events: [], outbox: [], withdrawn: ["\(id).1"])
            }
            #expect(try await store.write([step(from: 0)]) == false, "by a row that was not read")
            await #expect(throws: (any Error).self, "not what it was taken for") {
                _ = try await store.change(TaskPart([id])) { _ in ([step(from: 5)], ()) }
            }
            #expect(try await waiting() == ["\(id).1", "\(id).2"])
            _ = try await store.change(TaskPart([id])) { _ in ([step(from: 0)], ()) }
            #expect(try await waiting() == ["\(id).2"])
            await store.shutdown()
        }
    }
}
