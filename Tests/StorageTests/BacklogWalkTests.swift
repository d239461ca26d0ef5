import Contracts
import Foundation
import Testing

@testable import Storage

/// How the targets with something open are looked at, page by page.
@Suite(.timeLimit(.minutes(10))) struct `Backlog walk` {
    /// One delivery for each host of each tenant, all due for a minute or parked since.
    private static func add(_ database: MigrationDatabase, tenants: String, hosts: Int) async throws {
        _ = try await database.sql(
            """
            INSERT INTO webhook_deliveries
                (id, tenant_id, task_id, sequence, kind, url, host, state, due_at, created_at)
            SELECT gen_random_uuid(), tenant, gen_random_uuid(), 1, 'task.created', 'http://' || n || '.example/',
                n || '.example', CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'parked' END, now() - interval '1 min', now()
            FROM unnest('{\(tenants)}'::text[]) tenant CROSS JOIN generate_series(1, \(hosts)) n
            """)
    }

    private static func hosts(_ page: [TargetBacklog], _ tenant: String) -> [String] {
        page.filter { $0.target.tenant.text == tenant }.map(\.target.host)
    }

    @Test func `a tenant with one target is looked at in every round, however many another has`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.add(database, tenants: "acme", hosts: 40)
        try await Self.add(database, tenants: "zeta", hosts: 1)
        try await database.withPool { pool async throws in
            let store = DeliveryStore(pool: pool)
            var walk = BacklogWalk()
            var seen: [String] = []
            for round in 1...3 {
                let page = try await store.backlog(&walk)
                #expect(Self.hosts(page, "zeta") == ["1.example"])
                #expect(Self.hosts(page, "acme").count == (round < 3 ? 16 : 8))
                #expect(walk.goesOn == (round < 3))
                #expect(walk.oldestSeconds >= 60)
                seen += Self.hosts(page, "acme")
            }
            #expect(seen.count == 40 && Set(seen).count == 40)
            // It begins again.
            let again = try await store.backlog(&walk)
            #expect(Self.hosts(again, "acme") == Array(seen.prefix(16)))
        }
    }

    @Test func `a tenant whose last page was just full begins again after an empty one`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.add(database, tenants: "acme", hosts: BacklogWalk.hostsMax)
        try await database.withPool { pool async throws in
            let store = DeliveryStore(pool: pool)
            var walk = BacklogWalk()
            let first = try await store.backlog(&walk)
            #expect(first.count == BacklogWalk.hostsMax && walk.goesOn)
            let second = try await store.backlog(&walk)
            #expect(second.isEmpty && !walk.goesOn)
            #expect(walk.oldestSeconds >= 60, "What is open is still known.")
            let third = try await store.backlog(&walk)
            #expect(third.map(\.target) == first.map(\.target))
        }
    }

    @Test func `a round goes on behind the last tenant until all have been looked at`() async throws {
        let database = try await MigrationDatabase.migrated()
        let names = (0..<40).map { "tenant\($0)" }
        try await Self.add(database, tenants: names.joined(separator: ","), hosts: 20)
        try await database.withPool { pool async throws in
            let store = DeliveryStore(pool: pool)
            var walk = BacklogWalk()
            for hosts in [16, 4, 16] {
                let first = try await store.backlog(&walk)
                #expect(first.count == BacklogWalk.tenantsMax * hosts && walk.goesOn)
                let second = try await store.backlog(&walk)
                #expect(Set((first + second).map(\.target.tenant.text)) == Set(names))
                #expect(second.count == (names.count - BacklogWalk.tenantsMax) * hosts)
                #expect(Set((first + second).map(\.target)).count == names.count * hosts)
                #expect(walk.goesOn == (hosts == BacklogWalk.hostsMax))
            }
        }
    }

    @Test func `places of tenants with nothing open are forgotten`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.add(database, tenants: "acme", hosts: 20)
        try await database.withPool { pool async throws in
            let store = DeliveryStore(pool: pool)
            var walk = BacklogWalk()
            let first = try await store.backlog(&walk)
            #expect(first.count == 16)
            _ = try await database.sql("DELETE FROM webhook_deliveries")
            let second = try await store.backlog(&walk)
            #expect(second.isEmpty && !walk.goesOn && walk.oldestSeconds == 0)
        }
    }
}
