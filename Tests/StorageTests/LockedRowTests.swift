import Contracts
import Foundation
import Postgres
import Testing

@testable import Storage

/// What is done beside rows that somebody holds locked, without waiting for them.
@Suite(.timeLimit(.minutes(10))) struct `Locked rows` {
    private static let acme = AdmissionTest.tenants[0]
    private static let beta = AdmissionTest.tenants[1]

    /// Runs `body` while a session is in a transaction in which it has done a statement.
    private func holding(
        _ statement: String, in database: MigrationDatabase, _ body: () async throws -> Void
    ) async throws {
        let holder = try database.start("BEGIN; \(statement); SELECT pg_sleep(600)")
        let sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        while try await database.sql("SELECT count(*) \(sleeping)") == "0" {
            try #require(holder.isRunning)
            try await Task.sleep(for: .milliseconds(20))
        }
        var failure: (any Error)?
        do { try await body() } catch { failure = error }
        try await database.sql("SELECT pg_terminate_backend(pid) \(sleeping)")
        if let failure { throw failure }
    }

    private func isLockTimeout(_ body: () async throws -> Void) async -> Bool {
        do { try await body() } catch { return (error as? PostgresError)?.isLockTimeout == true }
        return false
    }

    @Test(arguments: [
        "SELECT FROM audit_head WHERE tenant_id = 'acme' FOR UPDATE",
        "UPDATE audit_head SET seq = seq WHERE tenant_id = 'acme'", "DELETE FROM audit_head WHERE tenant_id = 'acme'",
    ])
    func `of several entries all are written but those of a locked chain`(statement: String) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            try await store.append([AuditTest.entry("acme"), AuditTest.entry("beta")])
            try await holding(statement, in: database) {
                // A chain that is not open yet is not locked.
                let entries = ["acme", "beta", "gamma", "acme", "beta"].map { AuditTest.entry($0) }
                let isLocked = await isLockTimeout { try await store.append(entries) }
                #expect(isLocked)
                let locked = try await store.appendUnlocked(entries)
                #expect(locked == [.tenant(Self.acme)])
                let none = try await store.appendUnlocked([AuditTest.entry("acme")])
                #expect(none == [.tenant(Self.acme)])
            }
            let locked = try await store.appendUnlocked([AuditTest.entry("acme")])
            #expect(locked.isEmpty)
            for (chain, count) in [("acme", 2), ("beta", 3), ("gamma", 1)] {
                let verdict = try await store.verify(chain: chain)
                #expect(verdict.broken == nil && verdict.rows == count, "\(verdict)")
            }
            await store.shutdown()
        }
    }

    @Test func `a chain that somebody else is opening keeps nobody else's entries waiting`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            try await store.append([AuditTest.entry("acme")])
            try await holding("INSERT INTO audit_head (tenant_id) VALUES ('beta')", in: database) {
                let entries = ["acme", "beta", "gamma"].map { AuditTest.entry($0) }
                let locked = try await store.appendUnlocked(entries)
                #expect(locked == [.tenant(Self.beta), .tenant(AdmissionTest.tenants[2])])
                let none = try await store.appendUnlocked([AuditTest.entry("gamma")])
                #expect(none.isEmpty, "It is another that is being opened.")
            }
            let locked = try await store.appendUnlocked([AuditTest.entry("beta")])
            #expect(locked.isEmpty)
            for (chain, count) in [("acme", 2), ("beta", 1), ("gamma", 1)] {
                let verdict = try await store.verify(chain: chain)
                #expect(verdict.broken == nil && verdict.rows == count, "\(verdict)")
            }
            await store.shutdown()
        }
    }

    @Test func `entries of a locked chain that come again and again keep nobody else's waiting`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            try await store.append([AuditTest.entry("acme"), AuditTest.entry("beta")])
            try await holding("SELECT FROM audit_head WHERE tenant_id = 'acme' FOR UPDATE", in: database) {
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<60 {
                        group.addTask {
                            _ = await isLockTimeout { _ = try await store.append(AuditTest.entry("acme")) }
                        }
                        try await store.append(AuditTest.entry("beta"))
                    }
                    // Half a second for each would be thirty.
                    #expect(ContinuousClock.now - start < .seconds(20), "They waited for another tenant's lock.")
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
            await store.shutdown()
        }
    }

    @Test func `the installation's chain is set apart like a tenant's`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            let entry = AuditEntry(
                chain: .installation, at: Date(), actor: "::1", actorRole: "anonymous", action: "login",
                resource: "POST /auth/login", outcome: .failed)
            try await store.append(entry)
            try await holding("SELECT FROM audit_head WHERE tenant_id = '-' FOR UPDATE", in: database) {
                let isLocked = await isLockTimeout { _ = try await store.append(entry) }
                #expect(isLocked)
                let locked = try await store.appendUnlocked([entry, AuditTest.entry("beta")])
                #expect(locked == [.installation])
            }
            let receipt = try await store.append(entry)
            #expect(receipt.sequence == 2)
            await store.shutdown()
        }
    }

    @Test func `a task that is locked keeps back neither its tenant's others nor anybody else's`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = TaskStore(pool: pool)
            var tasks: [TaskRecord] = []
            for (number, tenant) in [Self.acme, Self.acme, Self.acme, Self.beta].enumerated() {
                let admission = AdmissionTest.admission(tenant, key: "\(number)")
                let outcome = try await store.admit(admission)
                #expect(outcome == .admitted)
                tasks.append(admission.task)
            }
            let ids = tasks.map(\.id)
            try await holding("SELECT FROM tasks WHERE id = '\(ids[0])' FOR UPDATE", in: database) {
                let start = ContinuousClock.now
                let change = TaskChange(previousSequence: 0, task: tasks[0], events: [], outbox: [])
                let isWritten = try await store.write([change])
                #expect(!isWritten)
                let alone = await isLockTimeout { _ = try await store.change(TaskPart([ids[0]])) { _ in ([], ()) } }
                #expect(alone)
                var (changed, passedOver): ([TaskID], [TaskID]) = ([], [])
                var parts = try await store.parts(of: ids)
                #expect(parts.count == 1)
                while let part = parts.popLast() {
                    do {
                        let done: (result: [TaskID], locked: [TaskID]) = try await store.change(part) { found in
                            ([], found.map(\.id))
                        }
                        changed += done.result
                        passedOver += done.locked
                    } catch let error where error.isFaultOfSomeRow {
                        parts += try await store.split(part, after: error)
                    }
                }
                #expect(Set(changed) == Set(ids.dropFirst()) && changed.count == 3)
                #expect(passedOver == [ids[0]])
                // Three times half a second; each would have been five.
                #expect(ContinuousClock.now - start < .seconds(10))
                let apart = try await store.parts(of: ids)
                #expect(apart.map(\.tenant) == [Self.acme, nil] && apart.last?.ids == [ids[3]])
                #expect(store.isApart(Self.acme) && !store.isApart(Self.beta))
                let others = TaskChange(previousSequence: 0, task: tasks[3], events: [], outbox: [])
                let isOthersWritten = try await store.write([others])
                #expect(isOthersWritten, "It is another's.")
            }
            let isWritten = try await TaskStore(pool: pool).write([
                TaskChange(previousSequence: 0, task: tasks[0], events: [], outbox: [])
            ])
            #expect(isWritten)
            await store.shutdown()
        }
    }

    @Test func `a task that does not exist is not taken for one that is locked`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = TaskStore(pool: pool)
            let tasks = (0..<3).map { AdmissionTest.admission(Self.acme, key: "\($0)") }
            for admission in tasks.dropLast() {
                let outcome = try await store.admit(admission)
                #expect(outcome == .admitted)
            }
            let ids = tasks.map(\.task.id)
            // Its last task is one that nobody has admitted.
            var parts = [TaskPart(ids)]
            var tried: [[TaskID]] = []
            while let part = parts.popLast() {
                let pieces = try await store.split(part, after: StoreError(.guardFailed, "Nothing was written."))
                #expect(!pieces.contains { $0.tenant != Self.acme || $0.ids.contains(ids[2]) }, "\(pieces)")
                parts += pieces
                tried += pieces.map(\.ids)
            }
            #expect(tried.contains([ids[0]]) && tried.contains([ids[1]]), "\(tried)")
            #expect(!store.isApart(Self.acme))
            await store.shutdown()
        }
    }
}
