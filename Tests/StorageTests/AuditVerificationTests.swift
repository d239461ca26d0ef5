import Contracts
import Foundation
import Postgres
import Storage
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Audit verification` {
    /// The columns of `audit_log` whose bytes are flipped, as bytes and back again.
    static let columns: [(name: String, read: String, write: String)] =
        ["tenant_id", "actor", "actor_role", "action", "resource", "reason", "trace_id"].map {
            ($0, "convert_to(\($0), 'UTF8')", "convert_from(flipped, 'UTF8')")
        } + [
            ("detail", "convert_to(detail::text, 'UTF8')", "convert_from(flipped, 'UTF8')::json"),
            ("prev_hash", "prev_hash", "flipped"), ("hash", "hash", "flipped"),
            ("seq", "int8send(seq)", "('x' || encode(flipped, 'hex'))::bit(64)::int8"),
            (
                "at", "int8send((extract(epoch FROM at) * 1000000)::int8)",
                "'epoch'::timestamptz + interval '1 microsecond' * ('x' || encode(flipped, 'hex'))::bit(64)::int8"
            ),
        ]

    @Test(arguments: columns.map(\.name))
    func `a flipped bit in any byte of any column is found`(name: String) async throws {
        let column = try #require(Self.columns.first { $0.name == name })
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            try await store.append((1...5).map { AuditTest.entry("acme", reason: "reason \($0)") })
            // PL/pgSQL, because most flips of JSON and many of names make a value that the database itself refuses.
            let read = try await pool.execute(Length(), timeout: nil).first ?? 0
            #expect(read == 5)
            var flips = 0
            for byte in 0..<40 {
                for bit in [0, 2, 5] where try await Self.flip(column, byte, bit, in: pool) {
                    flips += 1
                    let broken = try await Self.firstBreak(store)
                    #expect(broken == 3, "\(name), byte \(byte), bit \(bit): \(String(describing: broken))")
                    try await pool.script(
                        Self.unguarded("DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM good"))
                }
            }
            #expect(flips >= 3, "\(name): only \(flips) flips could be made")
            #expect(try await Self.firstBreak(store) == nil)
        }
    }

    /// False when there is no such byte or the database refuses the value.
    private static func flip(
        _ column: (name: String, read: String, write: String), _ byte: Int, _ bit: Int, in pool: PostgresPool
    ) async throws -> Bool {
        let text = """
            CREATE TABLE IF NOT EXISTS good AS SELECT * FROM audit_log;
            CREATE TABLE IF NOT EXISTS flip (done boolean);
            DELETE FROM flip;
            DO $do$
            BEGIN
                UPDATE audit_log SET \(column.name) = \(column.write) FROM (
                    SELECT set_byte(\(column.read), \(byte), get_byte(\(column.read), \(byte)) # \(1 << bit)) AS flipped
                    FROM audit_log WHERE seq = 3
                ) f WHERE seq = 3;
                INSERT INTO flip VALUES (true);
            EXCEPTION WHEN OTHERS THEN NULL;
            END $do$
            """
        try await pool.script(unguarded(text))
        return try await pool.execute(Flipped()).first ?? 0 > 0
    }

    @Test func `an absent text is not an empty one, and a microsecond counts`() async throws {
        for change in [
            "reason = ''", "trace_id = NULL", "at = at + interval '1 microsecond'", "at = 'infinity'",
            "outcome = 'denied'", "detail = '{ }'", "actor = 'adam', actor_role = 'eveloper'",
        ] {
            try await Self.broken(by: "UPDATE audit_log SET \(change) WHERE seq = 3", names: 3)
        }
    }

    @Test func `a missing, moved or exchanged row is found`() async throws {
        try await Self.broken(by: "DELETE FROM audit_log WHERE seq = 1", names: 1)
        try await Self.broken(by: "DELETE FROM audit_log WHERE seq = 3", names: 3)
        try await Self.broken(by: "DELETE FROM audit_log WHERE seq = 5", names: 5)
        try await Self.broken(by: "DELETE FROM audit_log", names: 1)
        try await Self.broken(by: "UPDATE audit_log SET seq = 9 WHERE seq = 4", names: 4)
        try await Self.broken(
            by: """
                UPDATE audit_log a SET actor = b.actor, reason = b.reason FROM audit_log b
                WHERE (a.seq, b.seq) IN ((2, 4), (4, 2))
                """, names: 2
        )
    }

    @Test func `a tampered end is found`() async throws {
        try await Self.broken(by: "DELETE FROM audit_head", names: 5)
        try await Self.broken(by: "UPDATE audit_head SET seq = 4", names: 5)
        try await Self.broken(by: "UPDATE audit_head SET seq = 6", names: 6)
        try await Self.broken(by: "UPDATE audit_head SET hash = sha256(hash)", names: 5)
    }

    @Test func `a row put into another tenant's chain is found there and missed here`() async throws {
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            try await store.append((1...3).map { AuditTest.entry("acme", reason: "\($0)") })
            try await store.append(AuditTest.entry("beta"))
            try await pool.script(
                Self.unguarded("UPDATE audit_log SET tenant_id = 'beta' WHERE tenant_id = 'acme' AND seq = 2"))
            #expect(try await store.verify(chain: "acme").broken == .init(sequence: 2, kind: .missing))
            #expect(try await store.verify(chain: "beta").broken?.sequence == 2)
            try await pool.script(
                Self.unguarded("UPDATE audit_log SET tenant_id = 'gamma' WHERE tenant_id = 'beta' AND seq = 2"))
            #expect(try await store.chains() == ["acme", "beta", "gamma"])
            #expect(try await store.verify(chain: "gamma").broken?.sequence == 1)
        }
    }

    @Test func `verifying while others append finds nothing wrong`() async throws {
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { for _ in 0..<50 { try await store.append(AuditTest.entry("acme")) } }
                }
                for _ in 0..<10 { #expect(try await store.verify(chain: "acme").broken == nil) }
                try await group.waitForAll()
            }
            #expect(try await store.verify(chain: "acme").rows == 400)
        }
    }

    /// Makes a chain of five, runs `statement` past the triggers, and expects the first broken row to be named.
    private static func broken(by statement: String, names row: Int) async throws {
        try await AuditTest.run { pool in
            let store = AuditStore(pool: pool)
            try await store.append((1...5).map { AuditTest.entry("acme", reason: "reason \($0)") })
            try await pool.script(unguarded(statement))
            let broken = try await firstBreak(store)
            #expect(broken == row, "\(statement): \(String(describing: broken))")
        }
    }

    /// The lowest sequence that any chain's verdict names.
    private static func firstBreak(_ store: AuditStore) async throws -> Int? {
        let verdict = try await store.verify(chain: "acme")
        return verdict.broken?.sequence
    }

    /// What a database's owner can do and the application cannot: triggers do not fire.
    private static func unguarded(_ statement: String) -> String {
        "SET session_replication_role = replica; \(statement); SET session_replication_role = origin;"
    }

    private struct Length: PostgresStatement {
        static let isReadOnly = true
        static let sql = "SELECT count(*) FROM audit_log"
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }

    private struct Flipped: PostgresStatement {
        static let sql = "SELECT count(*) FROM flip"
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }
}
