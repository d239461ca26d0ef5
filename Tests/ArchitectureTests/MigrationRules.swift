import Foundation
import Testing

/// What a migration may do to a table that is in use.
@Suite struct `Migration rules` {
    /// Earlier ones were released as they are.
    static let firstBound = 20

    @Test func `a CHECK on a table that exists reads none of its rows`() throws {
        let folder = SourceFile.root.appending(path: "migrations")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
        let bound = names.filter { (Int($0.prefix(3)) ?? 0) >= Self.firstBound }
        #expect(!bound.isEmpty)
        for name in bound {
            let sql = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            #expect(Self.readingChecks(sql).isEmpty, "\(name): add the CHECK as a constraint that is NOT VALID")
        }
    }

    @Test(
        arguments: [
            ("ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0 CONSTRAINT c CHECK (b >= 0);", 1),
            ("ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0;\nALTER TABLE a ADD CONSTRAINT c CHECK (b > 0);", 1),
            ("alter table only a add check (b > 0);", 1),
            ("ALTER TABLE a ADD CHECK (b > 0) NOT VALID, ADD CHECK (c > 0);", 1),
            ("ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0); -- NOT VALID", 1),
            ("ALTER TABLE a ADD CONSTRAINT c CHECK (b <> 'NOT VALID');", 1),
            ("ALTER TABLE a ADD CONSTRAINT c\n    CHECK (b >= 0) NOT VALID;", 0),
            ("CREATE TABLE a (b int CHECK (b > 0));\nALTER TABLE a ADD CHECK (b < 9);", 0),
            ("ALTER TABLE a ADD COLUMN b int;\nCOMMENT ON COLUMN a.b IS 'A CHECK; too often';", 0),
            ("IF b THEN\n    RAISE NOTICE 'x';\nEND IF;\nALTER TABLE a ADD CHECK (b > 0) NOT VALID;", 0),
        ]
    )
    func `a CHECK that reads every row is found`(_ sql: String, _ count: Int) {
        #expect(Self.readingChecks(sql).count == count, "\(sql)")
    }

    /// The statements that have Postgres read a whole table, locked against everybody, for a CHECK.
    private static func readingChecks(_ sql: String) -> [String] {
        let uncommented = sql.replacing(/--[^\n]*/, with: "")
        let unquoted = uncommented.replacing(/'(?:[^']|'')*'/, with: "''")
        let bare = unquoted.uppercased().split { $0.isWhitespace }.joined(separator: " ")
        let made = Set(bare.matches(of: /CREATE TABLE (?:IF NOT EXISTS )?(\w+)/).map { String($0.output.1) })
        return bare.split(separator: ";").map { String($0) }.filter { statement in
            let altered = statement.firstMatch(of: /ALTER TABLE (?:IF EXISTS )?(?:ONLY )?(\w+)/)
            guard let altered, !made.contains(String(altered.output.1)) else { return false }
            return statement.matches(of: /\bCHECK\b/).count > statement.matches(of: /\bNOT VALID\b/).count
        }
    }
}
