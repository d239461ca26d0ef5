import Contracts
import Foundation
import Postgres
import Storage
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Account stores` {
    private let tenant = TenantID(literal: "acme")
    private let now = Date(timeIntervalSince1970: 1_790_000_000)

    private func user(_ name: String, tenant: TenantID? = nil) -> User {
        User(
            tenant: tenant ?? self.tenant, name: name, role: .developer, passwordHash: "$scrypt$ln=1,r=1,p=1$AA$AA",
            createdBy: "test", createdAt: now
        )
    }

    @Test func `of many first users one is kept`() async throws {
        try await AuditTest.run { pool in
            let store = UserStore(pool: pool)
            let made = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        try await store.addFirst(user("admin\(number)"), audit: AuditTest.entry("acme"))
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(made == 1)
            #expect(try await AuditStore(pool: pool).verify(chain: "acme").rows == 1)
            #expect(try await store.list(tenant: tenant, after: nil, limit: 10).count == 1)
        }
    }

    @Test func `a user is kept, changed, and seen by the own tenant only`() async throws {
        try await AuditTest.run { pool in
            let store = UserStore(pool: pool)
            let other = TenantID(literal: "beta")
            #expect(try await store.add(user("ada")))
            #expect(try await !store.add(user("ada")))
            #expect(try await store.add(user("ada", tenant: other)))
            #expect(try await store.find("ada", tenant: tenant) == user("ada"))
            #expect(try await store.setPassword("$scrypt$new", of: "ada", tenant: tenant, now: now + 5))
            #expect(try await !store.setPassword("$scrypt$new", of: "bob", tenant: tenant, now: now))
            #expect(try await store.setDisabled(now + 1, name: "ada", tenant: tenant))
            #expect(try await store.setDisabled(now + 9, name: "ada", tenant: tenant))
            let changed = try await store.find("ada", tenant: tenant)
            #expect(changed?.disabledAt == now + 1 && changed?.passwordHash == "$scrypt$new")
            #expect(try await store.setDisabled(nil, name: "ada", tenant: tenant))
            #expect(try await store.find("ada", tenant: tenant)?.disabledAt == nil)
            #expect(try await store.find("ada", tenant: other)?.passwordHash == user("x").passwordHash)
            for name in ["bob", "cyd"] { _ = try await store.add(user(name)) }
            #expect(try await store.list(tenant: tenant, after: "ada", limit: 1).map(\.name) == ["bob"])
        }
    }

    @Test func `attempts are counted, locked for their time, and begun anew`() async throws {
        try await AuditTest.run { pool in
            let store = UserStore(pool: pool)
            let key = [UInt8](repeating: 7, count: 32)
            func attempt(_ second: Double) async throws -> UserStore.Attempt {
                try await store.countAttempt(key, limit: 5, window: 900, now: now + second)
            }
            for number in 1...4 {
                let found = try await attempt(Double(number))
                #expect(found == UserStore.Attempt(count: number, expiresAt: now + 901))
            }
            // The fifth begins the lock's own quarter of an hour; what follows does not prolong it.
            #expect(try await attempt(800) == UserStore.Attempt(count: 5, expiresAt: now + 1700))
            #expect(try await attempt(1699) == UserStore.Attempt(count: 6, expiresAt: now + 1700))
            #expect(try await attempt(1700) == UserStore.Attempt(count: 1, expiresAt: now + 2600))
            #expect(try await store.add(user("ada")))
            try await store.noteLogin("ada", tenant: tenant, attempts: key, now: now + 1701)
            #expect(try await attempt(1702).count == 1)
            #expect(try await store.find("ada", tenant: tenant)?.lastLoginAt == now + 1701)
        }
    }

    @Test func `a hundred attempts at once are a hundred, and old ones are swept`() async throws {
        try await AuditTest.run { pool in
            let store = UserStore(pool: pool)
            let key = [UInt8](repeating: 1, count: 32)
            let counts = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<100 {
                    group.addTask { try await store.countAttempt(key, limit: 5, window: 900, now: now).count }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(counts.sorted() == Array(1...100))
            let other = [UInt8](repeating: 2, count: 32)
            _ = try await store.countAttempt(other, limit: 5, window: 900, now: now + 1000)
            #expect(try await pool.execute(AttemptCount()).first == 1)
        }
    }

    @Test func `a key is kept by its hash, revoked once, and notes its use once a minute`() async throws {
        try await AuditTest.run { pool in
            let store = APIKeyStore(pool: pool)
            let key = APIKey(
                id: "gk_abcdEF12", tenant: tenant, label: "deploy bot", role: .agent,
                hash: [UInt8](repeating: 9, count: 32), createdBy: "ada", createdAt: now, expiresAt: now + 60
            )
            #expect(try await store.add(key))
            #expect(try await !store.add(key))
            #expect(try await store.find(key.id) == key)
            #expect(key.isUsable(at: now) && !key.isUsable(at: now + 60))
            try await store.noteUse(of: key.id, now: now + 1)
            try await store.noteUse(of: key.id, now: now + 60)
            #expect(try await store.find(key.id)?.lastUsedAt == now + 1)
            try await store.noteUse(of: key.id, now: now + 62)
            #expect(try await store.find(key.id)?.lastUsedAt == now + 62)
            #expect(try await store.revoke(key.id, tenant: TenantID(literal: "beta"), by: "eve", now: now) == nil)
            #expect(try await store.revoke(key.id, tenant: tenant, by: "ada", now: now + 70)?.revokedAt == now + 70)
            #expect(try await store.revoke(key.id, tenant: tenant, by: "bob", now: now + 80)?.revokedAt == now + 70)
            #expect(try await store.find(key.id)?.isUsable(at: now) == false)
            #expect(try await store.list(tenant: tenant, before: nil, limit: 5).map(\.id) == [key.id])
            #expect(try await store.list(tenant: tenant, before: (now, key.id), limit: 5).isEmpty)
        }
    }

    @Test func `one replica of eight makes the signing key, and old ones are removed`() async throws {
        try await AuditTest.run { pool in
            let store = SigningKeyStore(pool: pool)
            @Sendable func key(_ number: Int, from: Date) -> SigningKeyRecord {
                SigningKeyRecord(
                    id: "golden-000000000000000\(number)", publicKey: [UInt8](repeating: 3, count: 64),
                    privateKeySealed: [1, 2], createdAt: from, signsFrom: from, signsUntil: from + 10,
                    validUntil: from + 20
                )
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        _ = try await store.change(now: now) { $0.isEmpty ? [key(number, from: now)] : $0 }
                    }
                }
                try await group.waitForAll()
            }
            let first = try await store.valid(at: now)
            #expect(first.count == 1 && first.first?.signsFrom == now)
            let later = try await store.change(now: now + 25) { $0 + [key(9, from: now + 25)] }
            #expect(later.map(\.id) == [key(9, from: now).id])
            #expect(try await pool.execute(KeyCount()).first == 1)
        }
    }

    @Test func `signing keys get other times, and those that are left out go`() async throws {
        try await AuditTest.run { pool in
            let store = SigningKeyStore(pool: pool)
            @Sendable func key(_ number: Int, until end: Double) -> SigningKeyRecord {
                SigningKeyRecord(
                    id: "golden-000000000000000\(number)", publicKey: [UInt8](repeating: 3, count: 64),
                    privateKeySealed: [1, 2], createdAt: now, signsFrom: now, signsUntil: now + end,
                    validUntil: now + end + 10
                )
            }
            _ = try await store.change(now: now) { _ in [key(1, until: 50), key(2, until: 50), key(3, until: 50)] }
            let wanted = [key(1, until: 20), key(3, until: 50), key(4, until: 50)]
            #expect(try await store.change(now: now) { _ in wanted } == wanted)
            #expect(try await store.valid(at: now) == wanted)
            #expect(try await store.valid(at: now + 30) == Array(wanted.dropFirst()))
            #expect(try await store.change(now: now) { _ in [] }.isEmpty)
            #expect(try await pool.execute(KeyCount()).first == 0)
        }
    }

    private struct AttemptCount: PostgresStatement {
        static let sql = "SELECT count(*) FROM login_attempts"
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }

    private struct KeyCount: PostgresStatement {
        static let sql = "SELECT count(*) FROM signing_keys"
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }
}
