import Crypto
import Foundation
import Storage
import Testing

/// What was decided about a release stays what it was.
@Suite(.timeLimit(.minutes(10))) struct `Release store` {
    private static let none = String(repeating: "0", count: 64)

    private static func row(_ sequence: Int, after previous: String, reason: String = "because") -> StoredLineage {
        let event = """
            {"actor":"ann","environment":"dev","kind":"cut","reason":"\(reason)","version":"1.0.0"}
            """
        let entry = #"{"event":\#(event),"previousSHA256":"\#(previous)","sequence":\#(sequence)}"#
        return StoredLineage(sequence: sequence, entry: Array(entry.utf8), sha256: hash(entry))
    }

    private static func hash(_ text: String) -> String {
        SHA256.hash(data: Array(text.utf8)).map { String(format: "%02x", $0) }.joined()
    }

    private static func evidence(_ text: String) -> StoredEvidence {
        StoredEvidence(sha256: hash(text), kind: .evidence, document: Array(text.utf8))
    }

    private func with(_ body: (ReleaseStore, MigrationDatabase) async throws -> Void) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in try await body(ReleaseStore(pool: pool), database) }
    }

    @Test func `entries come back byte for byte, with what they name`() async throws {
        try await with { (store: ReleaseStore, database: MigrationDatabase) async throws -> Void in
            let first = Self.row(0, after: Self.none)
            let second = Self.row(1, after: first.sha256)
            #expect(try await store.lineage() == [])
            #expect(try await store.append(first, naming: [Self.evidence("e1"), Self.evidence("e2")]))
            #expect(try await store.append(second, naming: [Self.evidence("e1")]))
            #expect(try await store.lineage() == [first, second])
            #expect(try await store.lineage(from: 1) == [second])
            #expect(try await store.document(Self.hash("e1")) == Self.evidence("e1"))
            #expect(try await store.document(Self.none) == nil)
            let columns = "env || ' ' || version || ' ' || type || ' ' || actor"
            #expect(
                try await database.sql("SELECT \(columns) FROM release_lineage WHERE seq = 0") == "dev 1.0.0 cut ann")
        }
    }

    @Test func `the second of two with one place gets none, and nothing of it is kept`() async throws {
        try await with { (store: ReleaseStore, _: MigrationDatabase) async throws -> Void in
            let first = Self.row(0, after: Self.none)
            #expect(try await store.append(first, naming: []))
            let other = Self.row(0, after: Self.none, reason: "another")
            #expect(try await !store.append(other, naming: [Self.evidence("other")]))
            // Nor may two entries follow the same one.
            let fork = Self.row(5, after: Self.none, reason: "fork")
            #expect(try await !store.append(fork, naming: []))
            #expect(try await store.lineage() == [first])
            #expect(try await store.document(Self.hash("other")) == nil)
        }
    }

    @Test func `nothing is changed or removed, by whomever`() async throws {
        try await with { (store: ReleaseStore, database: MigrationDatabase) async throws -> Void in
            #expect(try await store.append(Self.row(0, after: Self.none), naming: [Self.evidence("e")]))
            for statement in [
                "UPDATE release_lineage SET sha256 = repeat('1', 64)", "DELETE FROM release_lineage",
                "TRUNCATE release_lineage", "UPDATE release_evidence SET document = 'x'",
                "DELETE FROM release_evidence", "TRUNCATE release_evidence",
            ] {
                #expect(try await database.refusal(statement).contains("append-only"), "\(statement)")
            }
            let grants = try await database.sql(
                """
                SELECT string_agg(DISTINCT privilege_type, ',' ORDER BY privilege_type)
                FROM information_schema.role_table_grants
                WHERE table_name IN ('release_lineage', 'release_evidence')
                """)
            #expect(grants == "INSERT,REFERENCES,SELECT,TRIGGER")
        }
    }

    @Test func `what does not fit is refused by the database itself`() async throws {
        try await with { (_: ReleaseStore, database: MigrationDatabase) async throws -> Void in
            let row = Self.row(0, after: Self.none)
            let entry = String(decoding: row.entry, as: UTF8.self)
            let insert = "INSERT INTO release_lineage (seq, entry, sha256) VALUES"
            #expect(
                try await database.refusal("\(insert) (1, '\(entry)', '\(row.sha256)')").contains("seq_is_the_entrys"))
            #expect(try await database.refusal("\(insert) (0, '{}', '\(row.sha256)')").contains("null value"))
            let evidence = "INSERT INTO release_evidence (sha256, kind, document) VALUES"
            #expect(
                try await database.refusal("\(evidence) ('\(row.sha256)', 'evidence', 'other')")
                    .contains("release_evidence_is_what_it_says"))
        }
    }
}
