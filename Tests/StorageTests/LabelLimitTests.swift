import Contracts
import Foundation
import Postgres
import Storage
import Synchronization
import Testing

/// Tasks that wait because of their labels, as the dispatcher's transactions see them.
@Suite(.timeLimit(.minutes(10))) struct `Label limits` {
    static let acme = TenantID(literal: "acme")
    static let calm = TenantID(literal: "calm")
    static let developer = DispatchHint.Count(role: AgentRole(literal: "developer"), tenant: acme)
    static let tester = DispatchHint.Count(role: AgentRole(literal: "tester"), tenant: acme)

    static func limits(_ texts: [String: Int]) -> LabelLimits {
        LabelLimits(
            tenants: [acme: Dictionary(uniqueKeysWithValues: texts.map { (TaskLabel($0.key)!, $0.value) })], others: [:]
        )
    }

    /// Told by one task to others.
    final class End: Sendable {
        private let state = Mutex(false)

        var hasCome: Bool { state.withLock { $0 } }
        func comes() { state.withLock { $0 = true } }
    }

    /// Stores on a fresh database, and tasks from few words.
    struct Bench: Sendable {
        let tasks: TaskStore
        let records: ReconciliationStore
        let database: MigrationDatabase

        static func with(_ body: (Bench) async throws -> Void) async throws {
            let database = try await MigrationDatabase.migrated()
            try await database.withPool { pool in
                let tasks = TaskStore(pool: pool)
                try await body(
                    Bench(tasks: tasks, records: ReconciliationStore(pool: pool), database: database))
                await tasks.shutdown()
            }
        }

        /// Queues `count` tasks; the later the call, the later in line.
        func queue(_ count: Int, labels: String = "{}", role: String = "developer", name: String = "n") async throws {
            try await database.sql(
                """
                INSERT INTO tasks (id, tenant_id, project_id, principal, name, workflow, workflow_version, role, state,
                    priority, attempt_max, timeout_seconds, run_at, event_seq, labels, input, created_at, updated_at)
                SELECT gen_random_uuid(), 'acme', 'p', 'u', '\(name)', 'single', 1, '\(role)', 'queued', 5, 5, 60,
                    clock_timestamp() - interval '1 s', 1, '\(labels)', '{}', now(), now()
                FROM generate_series(1, \(count))
                """)
        }

        /// Starts what may start, and names it.
        func take(
            _ grants: [(DispatchHint.Count, Int)], within limits: LabelLimits, promptBytes: Int = 0
        ) async throws -> Taking<[String]> {
            let now = Date()
            return try await tasks.take(
                grants.map { ($0.0, $0.1) }, within: limits, promptBytes: promptBytes, now: now
            ) { queued in
                let changes = queued.map { queued in
                    var task = queued.task
                    task.phase = .running(
                        .developing,
                        .init(token: "t", dispatchedAt: now, deadline: now.addingTimeInterval(600)))
                    task.attempt += 1
                    task.eventSequence += 1
                    return TaskChange(previousSequence: queued.task.eventSequence, task: task, events: [], outbox: [])
                }
                return (changes, queued.map { $0.task.name ?? "" })
            }
        }

        func finish(_ count: Int, label: String) async throws {
            try await database.sql(
                """
                UPDATE tasks SET state = 'completed', ended_at = now(), lease_token = NULL, dispatched_at = NULL,
                    deadline = NULL, output = '{}'
                WHERE id IN (SELECT id FROM tasks WHERE state = 'developing' AND labels @> '\(label)' LIMIT \(count))
                """)
        }
    }

    @Test func `no more of a label than may be are taken, and others pass them by`() async throws {
        try await Bench.with { bench in
            try await bench.queue(5, labels: #"{"gpu":"a"}"#, name: "a")
            try await bench.queue(2, labels: #"{"gpu":"b"}"#, name: "b")
            try await bench.queue(3, name: "plain")
            let limits = Self.limits(["gpu=a": 2])
            let first = try await bench.take([(Self.developer, 4)], within: limits)
            #expect(first.result.sorted() == ["a", "a", "b", "b"] && first.unfinished.isEmpty)
            let second = try await bench.take([(Self.developer, 8)], within: limits)
            #expect(second.result == ["plain", "plain", "plain"] && second.unfinished.isEmpty)
            #expect(try await bench.records.held() == [Self.developer: 3])
            #expect(try await bench.records.queued() == [:])
            #expect(try await bench.take([(Self.developer, 8)], within: limits).result.isEmpty)
            try await bench.finish(1, label: #"{"gpu":"a"}"#)
            #expect(try await bench.take([(Self.developer, 8)], within: limits).result == ["a"])
            let running = try await bench.tasks.running([TaskLabel("gpu=a")!, TaskLabel("gpu=c")!], of: Self.acme)
            #expect(running == [TaskLabel("gpu=a")!: 2, TaskLabel("gpu=c")!: 0])
        }
    }

    @Test func `a task with several limited labels needs room under each`() async throws {
        try await Bench.with { bench in
            try await bench.queue(1, labels: #"{"gpu":"a","site":"x"}"#, name: "both")
            try await bench.queue(1, labels: #"{"gpu":"a","site":"x"}"#, name: "both again")
            try await bench.queue(2, labels: #"{"gpu":"a"}"#, name: "gpu")
            let limits = Self.limits(["gpu=a": 2, "site=x": 1])
            #expect(try await bench.take([(Self.developer, 8)], within: limits).result == ["both", "gpu"])
            try await bench.finish(2, label: #"{"gpu":"a"}"#)
            #expect(
                try await bench.take([(Self.developer, 8)], within: limits).result.sorted() == ["both again", "gpu"])
        }
    }

    @Test func `a limit counts over all roles of its tenant, and no other tenant's`() async throws {
        try await Bench.with { bench in
            try await bench.queue(3, labels: #"{"gpu":"a"}"#)
            try await bench.queue(3, labels: #"{"gpu":"a"}"#, role: "tester")
            try await bench.database.sql(
                "UPDATE tasks SET tenant_id = 'calm' WHERE role = 'tester' AND id IN "
                    + "(SELECT id FROM tasks WHERE role = 'tester' LIMIT 1)")
            let limits = Self.limits(["gpu=a": 4])
            let calm = DispatchHint.Count(role: Self.tester.role, tenant: Self.calm)
            let taken = try await bench.take([(Self.developer, 9), (Self.tester, 9), (calm, 9)], within: limits)
            #expect(taken.result.count == 5 && taken.held == [Self.tester])
        }
    }

    @Test func `a long backlog of one label is passed by once`() async throws {
        try await Bench.with { bench in
            try await bench.queue(5000, labels: #"{"gpu":"a"}"#, name: "a")
            try await bench.queue(1, name: "plain")
            let limits = Self.limits(["gpu=a": 0])
            var looks = 0
            while true {
                let taken = try await bench.take([(Self.developer, 1)], within: limits)
                looks += 1
                if taken.result == ["plain"] { break }
                #expect(taken.result.isEmpty && taken.unfinished == [Self.developer] && looks < 10)
                if looks >= 10 { break }
            }
            #expect(looks > 1 && looks <= 5, "\(looks) looks")
            try await bench.queue(1, name: "plain")
            let next = try await bench.take([(Self.developer, 1)], within: limits)
            #expect(next.result == ["plain"] && next.held.isEmpty, "nothing is looked at again")
        }
    }

    @Test func `what no limit holds back any more is let go`() async throws {
        try await Bench.with { bench in
            try await bench.queue(3, labels: #"{"gpu":"a"}"#)
            try await bench.queue(3, labels: #"{"gpu":"b"}"#)
            let limits = Self.limits(["gpu=a": 0, "gpu=b": 0])
            #expect(try await bench.take([(Self.developer, 8)], within: limits).result.isEmpty)
            #expect(try await bench.records.releaseUnlimited(limits, limit: 100) == 0)
            #expect(try await bench.records.releaseUnlimited(Self.limits(["gpu=a": 0]), limit: 100) == 3)
            let forAll = LabelLimits(tenants: [:], others: [TaskLabel("gpu=a")!: 0])
            #expect(try await bench.records.releaseUnlimited(forAll, limit: 100) == 0)
            // A tenant with an entry of its own has none of those that are everybody's.
            let own = LabelLimits(tenants: [Self.acme: [:]], others: [TaskLabel("gpu=a")!: 0])
            #expect(try await bench.records.releaseUnlimited(own, limit: 2) == 2)
            #expect(try await bench.records.releaseUnlimited(.none, limit: 100) == 1)
            #expect(try await bench.records.queued() == [Self.developer: 6])
        }
    }

    @Test func `dispatchers that all think they lead stay within the limit together`() async throws {
        try await Bench.with { bench in
            try await bench.queue(200, labels: #"{"gpu":"a"}"#)
            let limits = Self.limits(["gpu=a": 7])
            let end = End()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        while !end.hasCome {
                            _ = try await bench.take([(Self.developer, 3)], within: limits)
                            let running = try await bench.tasks.running([TaskLabel("gpu=a")!], of: Self.acme)
                            #expect(running.values.allSatisfy { $0 <= 7 })
                        }
                    }
                }
                for _ in 0..<20 { try await bench.finish(2, label: #"{"gpu":"a"}"#) }
                end.comes()
                try await group.waitForAll()
            }
            let done = try await bench.database.sql("SELECT count(*) > 20 FROM tasks WHERE state = 'completed'")
            #expect(done == "t")
        }
    }

    @Test func `labels are read as people write them`() {
        #expect(TaskLabel("a=b=c") == TaskLabel(name: "a", value: "b=c"))
        #expect(TaskLabel("a=")?.value == "")
        for text in ["a", "=b", "a b=c", "a=" + String(repeating: "x", count: 201)] { #expect(TaskLabel(text) == nil) }
    }
}
