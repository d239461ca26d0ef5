import Contracts
import Foundation
import Postgres
import Storage
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Audit store` {
    @Test func `64 writers over three replicas leave unbroken chains`() async throws {
        try await AuditTest.run { pool in
            let replicas = (0..<3).map { _ in AuditStore(pool: pool) }
            try await withThrowingTaskGroup(of: [(String, Int)].self) { group in
                for writer in 0..<64 {
                    group.addTask {
                        var places: [(String, Int)] = []
                        for number in 0..<20 {
                            let entry = AuditTest.entry(number % 3 == 0 ? "beta" : "acme", actor: "writer-\(writer)")
                            places.append((entry.chain.text, try await replicas[writer % 3].append(entry).sequence))
                        }
                        return places
                    }
                }
                var seen: [String: [Int]] = [:]
                for try await places in group {
                    for (chain, place) in places { seen[chain, default: []].append(place) }
                }
                #expect(seen["acme"]?.sorted() == Array(1...832))
                #expect(seen["beta"]?.sorted() == Array(1...448))
            }
            for (chain, count) in [("acme", 832), ("beta", 448)] {
                let verdict = try await replicas[0].verify(chain: chain)
                #expect(verdict.broken == nil && verdict.rows == count, "\(verdict)")
            }
        }
    }

    @Test func `an entry commits and rolls back with its caller's transaction`() async throws {
        struct Changed: Error {}
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            try await store.append(AuditTest.entry("acme"))
            await #expect(throws: Changed.self) {
                try await pool.transaction { tx in
                    try AuditStore.append([AuditTest.entry("acme"), AuditTest.entry("beta")], in: tx)
                    throw Changed()
                }
            }
            let kept = try await pool.transaction { tx in
                try AuditStore.append([AuditTest.entry("acme"), AuditTest.entry("acme")], in: tx)
            }
            #expect(kept.map(\.sequence) == [2, 3])
            let verdict = try await store.verify(chain: "acme")
            #expect(verdict.rows == 3 && verdict.broken == nil && verdict.hash == kept[1].hash)
            #expect(try await store.chains() == ["acme"])
        }
    }

    @Test func `what is appended is read back as it was`() async throws {
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            let detail = try JSON(parsing: Array(#"{ "b":1.0, "a":"\u00e9" }"#.utf8))
            let at = Date(timeIntervalSince1970: 1_790_000_000.123456)
            let entry = AuditEntry(
                chain: .installation, at: at, actor: "a\0b", actorRole: "anonymous", action: "login",
                resource: String(repeating: "é", count: 900), outcome: .denied, reason: nil, detail: detail
            )
            try await store.append(entry)
            let row = try #require(try await store.list(AuditFilter(chain: .installation, limit: 5)).first)
            #expect(row.tenant == "-" && row.atMicroseconds == 1_790_000_000_123_456 && row.actor == "a\u{FFFD}b")
            #expect(row.detail == Array(detail.bytes) && row.reason == nil && row.outcome == "denied")
            #expect(row.resource.utf8.count == 1024)
            #expect(try await store.verify(chain: "-").broken == nil)
        }
    }

    @Test func `a listing goes by every filter, newest first`() async throws {
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            let start = Date(timeIntervalSince1970: 1_790_000_000)
            for number in 1...10 {
                let entry = AuditTest.entry(
                    "acme", at: start + Double(number), actor: number % 2 == 0 ? "ada" : "bob",
                    action: number <= 5 ? "cancelTask" : "submitTask", outcome: number == 7 ? .denied : .allowed
                )
                try await store.append(entry)
            }
            try await store.append(AuditTest.entry("beta", at: start))
            func sequences(_ change: (inout AuditFilter) -> Void) async throws -> [Int] {
                var filter = AuditFilter(chain: .tenant(TenantID(literal: "acme")), limit: 100)
                change(&filter)
                return try await store.list(filter).map(\.sequence)
            }
            #expect(try await sequences { _ in } == Array((1...10).reversed()))
            #expect(try await sequences { $0.actor = "ada" } == [10, 8, 6, 4, 2])
            #expect(try await sequences { $0.action = "cancelTask" } == [5, 4, 3, 2, 1])
            #expect(try await sequences { $0.outcome = .denied } == [7])
            #expect(
                try await sequences {
                    $0.from = start + 3
                    $0.to = start + 6
                } == [5, 4, 3])
            #expect(
                try await sequences {
                    $0.before = 4
                    $0.limit = 2
                } == [3, 2])
        }
    }

    @Test func `rows are neither changed nor removed by a plain statement`() async throws {
        try await AuditTest.run { pool in
            try await AuditStore(pool: pool).append(AuditTest.entry("acme"))
            for text in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
                await #expect(throws: PostgresError.self) { try await pool.script(text) }
            }
        }
    }
}

enum AuditTest {
    static func run(_ body: (PostgresPool) async throws -> Void) async throws {
        try await MigrationDatabase.migrated().withPool(body)
    }

    static func entry(
        _ tenant: String, at: Date = Date(), actor: String = "ada", action: String = "cancelTask",
        outcome: AuditEntry.Outcome = .allowed, reason: String? = nil
    ) -> AuditEntry {
        AuditEntry(
            chain: .tenant(TenantID(tenant) ?? TenantID(literal: "acme")), at: at, actor: actor, actorRole: "developer",
            action: action, resource: "POST /tasks/7/cancel", outcome: outcome, reason: reason,
            traceID: "4bf92f35", detail: JSONWriter.object { $0.field("number", 12_345) }
        )
    }
}
