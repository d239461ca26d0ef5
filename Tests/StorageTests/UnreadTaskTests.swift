import Contracts
import Foundation
import Storage
import Testing

/// Writing by what is remembered of a row instead of by the row.
@Suite(.timeLimit(.minutes(10))) struct `Unread tasks` {
    @Test func `tasks are written together when each is what it was taken for, else none is`() async throws {
        try await MigrationDatabase.migrated().withPool { pool async throws in
            let store = TaskStore(pool: pool)
            let admissions = (0..<2).map { AdmissionTest.admission(AdmissionTest.tenants[0], key: "\($0)") }
            for admission in admissions { #expect(try await store.admit(admission) == .admitted) }
            let (first, second) = (admissions[0].task, admissions[1].task)
            #expect(try await store.write([change(first, from: 0, to: 1)]))
            #expect(try await store.write([change(second, from: 0, to: 1), change(first, from: 0, to: 1)]) == false)
            #expect(try await sequences(store, first, second) == [1, 0])
            #expect(try await store.write([change(second, from: 0, to: 1), change(first, from: 1, to: 2)]))
            #expect(try await sequences(store, first, second) == [2, 1])
            await store.shutdown()
        }
    }

    @Test func `what has more to write than the task is left to those who lock it`() async throws {
        try await MigrationDatabase.migrated().withPool { pool async throws in
            let store = TaskStore(pool: pool)
            let admission = AdmissionTest.admission(AdmissionTest.tenants[0], key: "held", isHeld: true)
            #expect(try await store.admit(admission) == .admitted)
            var ended = admission.task
            ended.phase = .ended(.canceled(reason: "test"), at: Date())
            #expect(try await store.write([change(ended, from: 0, to: 1)]) == false)
            #expect(try await store.find(ended.id, tenant: ended.tenant)?.task.state == .queued)
            await store.shutdown()
        }
    }

    private func change(_ task: TaskRecord, from: Int, to: Int) -> TaskChange {
        var task = task
        task.eventSequence = to
        return TaskChange(previousSequence: from, task: task, events: [], outbox: [])
    }

    private func sequences(_ store: TaskStore, _ tasks: TaskRecord...) async throws -> [Int?] {
        var found: [Int?] = []
        for task in tasks { found.append(try await store.find(task.id, tenant: task.tenant)?.task.eventSequence) }
        return found
    }
}
