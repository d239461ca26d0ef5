import Contracts
import Foundation
import Postgres
import Testing

@testable import Storage

/// What somebody holds locked of one tenant, and what becomes of the others meanwhile.
@Suite(.timeLimit(.minutes(10))) struct `Locked tenants` {
    private static let acme = AdmissionTest.tenants[0]
    private static let beta = AdmissionTest.tenants[1]

    /// Runs `body` while a session holds rows locked, until it is over or has them released, which tells whether they
    /// still were.
    private func locking(
        _ rows: String, in database: MigrationDatabase,
        _ body: (_ release: () async throws -> Bool) async throws -> Void
    ) async throws {
        let holder = try database.start("BEGIN; SELECT FROM \(rows) FOR UPDATE; SELECT pg_sleep(600)")
        let sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        func release() async throws -> Bool {
            try await database.sql("SELECT pg_terminate_backend(pid) \(sleeping)") == "t"
        }
        while try await database.sql("SELECT count(*) \(sleeping)") == "0" {
            try #require(holder.isRunning)
            try await Task.sleep(for: .milliseconds(20))
        }
        do { try await body(release) } catch {
            _ = try await release()
            throw error
        }
        _ = try await release()
    }

    private func isLockTimeout(_ body: () async throws -> Void) async -> Bool {
        do { try await body() } catch { return (error as? PostgresError)?.isLockTimeout == true }
        return false
    }

    @Test func `the end of a chain that is locked keeps no other tenant's tasks from being accepted`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let tasks = TaskStore(pool: pool)
            for tenant in [Self.acme, Self.beta] {
                #expect(try await tasks.admit(AdmissionTest.admission(tenant, key: "first")) == .admitted)
            }
            try await locking("audit_head WHERE tenant_id = 'acme'", in: database) { release in
                try await withThrowingTaskGroup(of: TenantID.self) { group in
                    for number in 0..<40 {
                        group.addTask {
                            let outcome = try await tasks.admit(AdmissionTest.admission(Self.beta, key: "\(number)"))
                            #expect(outcome == .admitted)
                            return Self.beta
                        }
                        group.addTask {
                            let admission = AdmissionTest.admission(Self.acme, key: "\(number)")
                            // Let in once the lock is released, unless that was too late for it.
                            do { _ = try await tasks.admit(admission) } catch let error as PostgresError {
                                #expect(error.isLockTimeout, "\(error)")
                            }
                            return Self.acme
                        }
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    var admitted = 0
                    while admitted < 40, let tenant = try await group.next() { admitted += tenant == Self.beta ? 1 : 0 }
                    let acmes = try await database.sql("SELECT count(*) FROM tasks WHERE tenant_id = 'acme'")
                    #expect(acmes == "1")
                    let wasHeld = try await release()
                    #expect(wasHeld, "beta's tasks waited for another tenant's lock")
                    try await group.waitForAll()
                }
            }
            #expect(try await tasks.admit(AdmissionTest.admission(Self.acme, key: "after")) == .admitted)
            await tasks.shutdown()
        }
    }

    @Test func `a tenant's own task waits for its lock`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let tasks = TaskStore(pool: pool)
            let first = try await tasks.admit(AdmissionTest.admission(Self.acme, key: "first"))
            #expect(first == .admitted)
            // Held by a transaction of the test's own, which ends at once when it is told to.
            let release = DispatchSemaphore(value: 0)
            let (locked, lock) = AsyncStream<Never>.makeStream()
            async let holding: Void = pool.transaction { tx in
                _ = try tx.execute(LockAuditHeads(tenants: ["acme"]))
                lock.finish()
                release.wait()
            }
            for await _ in locked {}
            async let second = tasks.admit(AdmissionTest.admission(Self.acme, key: "second"))
            try? await Task.sleep(for: .seconds(1))
            release.signal()
            try await holding
            let outcome = try await second
            #expect(outcome == .admitted)
            await tasks.shutdown()
        }
    }

    @Test func `the end of a chain that is locked keeps no other tenant's entries from being written`() async throws {
        let database = try await MigrationDatabase.migrated()
        // Acme's entries wait for as long as it takes: nothing of beta's comes only after one of them gave up.
        var patient = database.configuration
        patient.lockTimeout = .seconds(120)
        patient.statementTimeout = .seconds(150)
        patient.transactionTimeout = .seconds(180)
        try await database.withPool(with: patient) { pool in
            let store = AuditStore(pool: pool)
            for tenant in ["acme", "beta"] { try await store.append(AuditTest.entry(tenant)) }
            try await locking("audit_head WHERE tenant_id = 'acme'", in: database) { release in
                try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<5 {
                        for tenant in ["acme", "beta"] {
                            group.addTask {
                                try await store.append(AuditTest.entry(tenant))
                                return tenant
                            }
                        }
                    }
                    for _ in 0..<5 {
                        let written = try await group.next()
                        #expect(written == "beta", "beta's entry waited for another tenant's lock")
                    }
                    let wasHeld = try await release()
                    #expect(wasHeld)
                    try await group.waitForAll()
                }
            }
            await store.shutdown()
        }
    }

    @Test func `an account that is locked keeps no other tenant's holds from ending`() async throws {
        try await BudgetHarness.with { budget, database in
            let other = Reservation.Key(
                tenant: Self.beta, project: BudgetHarness.account().project, request: BudgetHarness.key("r").request)
            let account = BudgetAccount.Key(tenant: Self.beta, project: other.project)
            try await budget.setLimit(100)
            _ = try await budget.store.setLimit(account, totalLimit: 100, expectedVersion: nil, principal: "admin")
            #expect(try await budget.reserve("r", 10).isReserved)
            let request = ReservationRequest(key: other, amount: 10, principal: "bob")
            #expect(try await budget.store.reserve(request).isReserved)
            try await database.sql("UPDATE budget_reservations SET expires_at = now()")
            try await locking("budget_limits WHERE tenant_id = 'acme'", in: database) { _ in
                #expect(
                    await isLockTimeout { _ = try await budget.store.sweepExpired(limit: 100, principal: "sweeper") })
                let states = "SELECT tenant_id, state FROM budget_reservations ORDER BY 1"
                let found = try await database.sql(states)
                #expect(found == "acme|pending\nbeta|expired")
            }
            #expect(try await budget.store.sweepExpired(limit: 100, principal: "sweeper") == 1)
        }
    }

    @Test func `tasks are changed together until a lock sets a tenant's apart`() async throws {
        try await MigrationDatabase.migrated().withPool { pool in
            let store = TaskStore(pool: pool)
            var ids: [TaskID] = []
            for (number, tenant) in [Self.acme, Self.acme, Self.beta].enumerated() {
                let admission = AdmissionTest.admission(tenant, key: "\(number)")
                #expect(try await store.admit(admission) == .admitted)
                ids.append(admission.task.id)
            }
            let whole = try await store.parts(of: ids)
            #expect(whole.map(\.ids) == [ids])
            let lock = PostgresError(.timeout, "It is locked.", sqlState: "55P03")
            let parts = try await store.split(try #require(whole.first), after: lock)
            #expect(Set(parts.map(\.tenant)) == [Self.acme, Self.beta])
            let acmes = try #require(parts.first { $0.tenant == Self.acme })
            #expect(Set(acmes.ids) == Set(ids.prefix(2)))
            #expect(try await store.split(acmes, after: lock).isEmpty)
            let next = try await store.parts(of: ids)
            #expect(next.map(\.tenant) == [Self.acme, nil] && next.last?.ids == [ids[2]])
            // A row that cannot be written is looked for.
            let halves = try await store.split(acmes, after: StoreError(.guardFailed, "It cannot be written."))
            #expect(halves.map(\.ids.count) == [1, 1])
            #expect(try await store.split(halves[0], after: StoreError(.guardFailed, "Nor alone.")).isEmpty)
            await store.shutdown()
        }
    }

    @Test func `a tenant is set apart for some time only`() {
        let locked = LockedTenants()
        let start = ContinuousClock.now
        locked.note(Self.acme, at: start)
        #expect(locked.contains(Self.acme, at: start + .seconds(9)) && !locked.isEmpty)
        #expect(!locked.contains(Self.beta, at: start))
        #expect(!locked.contains(Self.acme, at: start + .seconds(11)) && locked.isEmpty)
    }
}
