import Bootstrap
import Contracts
import Foundation
import Postgres
import ServiceLifecycle
import Storage
import TestSupport
import Testing

@testable import OrchestratorService

/// The recorder on a real database in which somebody holds the end of one tenant's chain locked.
@Suite(.timeLimit(.minutes(10))) struct `Locked chains` {
    @Test(arguments: [
        "SELECT FROM audit_head WHERE tenant_id = 'acme' FOR UPDATE",
        "UPDATE audit_head SET seq = seq WHERE tenant_id = 'acme'",
    ])
    func `nobody else's entries wait for one, or are lost when the process ends`(statement: String) async throws {
        let test = try await RecorderUnderTest()
        try await test.server.holding(statement, in: test.database) { _ in
            try await test.run {
                // More than are written together stand before the other's.
                test.enqueue("acme", 1...300)
                test.enqueue("beta", 1...1)
                try await eventually { try await test.reasons("beta") == "1" }
                test.enqueue("acme", 301...301)
                test.enqueue("beta", 2...3)
            }
            let kept = try await test.reasons("beta")
            #expect(kept == "1 2 3")
            let locked = try await test.reasons("acme")
            #expect(locked == "")
            #expect(test.registry.text().contains("\naudit_entries_lost_total 301\n"))
        }
    }

    @Test func `one that takes no entries as it is keeps nobody else's from being written`() async throws {
        let test = try await RecorderUnderTest()
        try await test.run {
            test.enqueue("acme", 1...1)
            try await eventually { try await test.reasons("acme") == "1" }
            // Its end is lost: what would come next is there already.
            try await test.server.sql("DELETE FROM audit_head WHERE tenant_id = 'acme'", database: test.database)
            test.enqueue("acme", 2...3)
            test.enqueue("beta", 1...1)
            try await eventually { try await test.reasons("beta") == "1" }
            test.enqueue("beta", 2...2)
        }
        let kept = try await test.reasons("beta")
        #expect(kept == "1 2")
        #expect(test.registry.text().contains("\naudit_entries_lost_total 2\n"))
    }

    @Test func `one that takes no entries keeps nobody else's waiting beside one that is locked`() async throws {
        let test = try await RecorderUnderTest()
        let statement = "SELECT FROM audit_head WHERE tenant_id = 'beta' FOR UPDATE"
        try await test.run {
            test.enqueue("acme", 1...1)
            try await eventually { try await test.reasons("acme") == "1" }
            try await test.server.sql("DELETE FROM audit_head WHERE tenant_id = 'acme'", database: test.database)
            try await test.server.holding(statement, in: test.database) { _ in
                test.enqueue("acme", 2...2)
                test.enqueue("beta", 1...1)
                test.enqueue("gamma", 1...1)
                try await eventually { try await test.reasons("gamma") == "1" }
                let locked = try await test.reasons("beta")
                #expect(locked == "")
            }
            try await eventually { try await test.reasons("beta") == "1" }
        }
        #expect(test.registry.text().contains("\naudit_entries_lost_total 1\n"))
    }

    @Test func `its own entries wait, and are written in their order when it is free`() async throws {
        let test = try await RecorderUnderTest()
        let statement = "SELECT FROM audit_head WHERE tenant_id = 'acme' FOR UPDATE"
        try await test.server.holding(statement, in: test.database) { release in
            try await test.run {
                test.enqueue("acme", 1...300)
                test.enqueue("beta", 1...1)
                try await eventually { try await test.reasons("beta") == "1" }
                test.enqueue("acme", 301...600)
                try await release()
                let all = (1...600).map { "\($0)" }.joined(separator: " ")
                try await eventually { try await test.reasons("acme") == all }
                test.enqueue("acme", 601...601)
                try await eventually { try await test.reasons("acme") == all + " 601" }
                let verdict = try await test.store.verify(chain: "acme")
                #expect(verdict.broken == nil && verdict.rows == 601, "\(verdict)")
            }
            #expect(test.registry.text().contains("\naudit_entries_lost_total 0\n"))
        }
    }
}

/// A recorder with a database of its own, in which the chains of acme and beta are open.
private struct RecorderUnderTest: Sendable {
    let server: TestPostgres
    let database: String
    let store: AuditStore
    let registry: MetricsRegistry
    private let pool: PostgresPool
    private let recorder: AuditRecorder

    init() async throws {
        let server = try await TestPostgres.shared()
        let database = try await TestPostgres.migratedDatabase()
        try await server.sql("INSERT INTO audit_head (tenant_id) VALUES ('acme'), ('beta')", database: database)
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: server.connectionString(database: database), applicationName: "test"),
            logger: OrchestratorUnderTest.quiet)
        let store = AuditStore(pool: pool)
        let registry = MetricsRegistry()
        self.server = server
        self.database = database
        self.store = store
        self.registry = registry
        self.pool = pool
        recorder = AuditRecorder(store: store, registry: registry, logger: OrchestratorUnderTest.quiet)
    }

    /// Runs the recorder while `body` runs, and returns when it has ended.
    func run(_ body: () async throws -> Void) async throws {
        let (pool, store) = (pool, store)
        let postgres = Running(
            "postgres", run: pool.run,
            stop: { limit in
                await store.shutdown()
                await pool.shutdown(within: limit)
            })
        let services: [any Service] = [postgres, recorder]
        let group = ServiceGroup(configuration: .init(services: services, logger: OrchestratorUnderTest.quiet))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do { try await body() } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Entries that are told apart by their reasons.
    func enqueue(_ tenant: String, _ numbers: ClosedRange<Int>) {
        let chain = AuditChain.tenant(TenantID(tenant) ?? TenantID(literal: "acme"))
        recorder.enqueue(
            numbers.map { number in
                AuditEntry(
                    chain: chain, at: Date(), actor: "olga", actorRole: "observer", action: "submitTask",
                    resource: "POST /tasks", outcome: .denied, reason: "\(number)")
            })
    }

    /// Of a chain's rows in their order.
    func reasons(_ tenant: String) async throws -> String {
        try await server.sql(
            "SELECT string_agg(reason, ' ' ORDER BY seq) FROM audit_log WHERE tenant_id = '\(tenant)'",
            database: database)
    }
}
