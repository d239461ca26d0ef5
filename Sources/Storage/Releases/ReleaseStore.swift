package import Postgres

/// One entry of the releases' lineage, as the bytes that its hash covers.
package struct StoredLineage: Sendable, Equatable {
    package let sequence: Int
    /// JSON; it names its own sequence and the hash before it, which the database holds it to.
    package let entry: [UInt8]
    package let sha256: String

    package init(sequence: Int, entry: [UInt8], sha256: String) {
        self.sequence = sequence
        self.entry = entry
        self.sha256 = sha256
    }
}

/// What a lineage entry names by its hash.
package struct StoredEvidence: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case evidence, policy, attestation, approval, certificate, plan
    }

    package let sha256: String
    package let kind: Kind
    package let document: [UInt8]

    package init(sha256: String, kind: Kind, document: [UInt8]) {
        self.sha256 = sha256
        self.kind = kind
        self.document = document
    }
}

/// The releases' lineage and what it names. Rows are only ever added; grants and triggers see to that.
package final class ReleaseStore: Sendable {
    /// Rows read at once when the lineage is walked.
    static let pageMax = 1000
    /// SQLSTATE: the place in the chain is taken.
    private static let uniqueViolation = "23505"

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Adds an entry and what it names, together.
    ///
    /// - Returns: false when another entry has its place; nothing was kept then, and the caller chains it anew.
    package func append(_ row: StoredLineage, naming documents: [StoredEvidence]) async throws -> Bool {
        do {
            try await pool.transaction { tx in
                for document in documents { try tx.enqueue(KeepEvidence(evidence: document)) }
                try tx.finish(AppendLineage(row: row))
            }
            return true
        } catch let error as PostgresError where error.sqlState == Self.uniqueViolation {
            return false
        }
    }

    package func document(_ sha256: String) async throws -> StoredEvidence? {
        try await pool.execute(FindEvidence(sha256: sha256)).first
    }

    /// The whole lineage from an entry on, oldest first.
    package func lineage(from first: Int = 0) async throws -> [StoredLineage] {
        var rows: [StoredLineage] = []
        var after = first - 1
        while true {
            let page = try await pool.execute(ReadLineage(after: after, limit: Self.pageMax))
            rows += page
            guard let last = page.last, page.count == Self.pageMax else { return rows }
            after = last.sequence
        }
    }
}

struct AppendLineage: PostgresStatement {
    let row: StoredLineage

    static let sql = "INSERT INTO release_lineage (seq, entry, sha256) VALUES ($1, $2, $3)"

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(row.sequence)
        bindings.json(row.entry)
        bindings.text(row.sha256)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

struct KeepEvidence: PostgresStatement {
    let evidence: StoredEvidence

    /// The same bytes have the same hash: what is there already is the same document.
    static let sql = """
        INSERT INTO release_evidence (sha256, kind, document) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(evidence.sha256)
        bindings.text(evidence.kind.rawValue)
        bindings.bytes(evidence.document)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

struct FindEvidence: PostgresStatement {
    let sha256: String

    static let isReadOnly = true
    static let sql = "SELECT sha256, kind, document FROM release_evidence WHERE sha256 = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.text(sha256) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredEvidence { try StoredEvidence(row) }
}

struct ReadLineage: PostgresStatement {
    let after: Int
    let limit: Int

    static let isReadOnly = true
    static let sql = "SELECT seq, entry, sha256 FROM release_lineage WHERE seq > $1 ORDER BY seq LIMIT $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(after)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredLineage { try StoredLineage(row) }
}

extension StoredLineage {
    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        self.init(sequence: try row.int(0), entry: try row.json(1), sha256: try row.text(2))
    }
}

extension StoredEvidence {
    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        let text = try row.text(1)
        guard let kind = Kind(rawValue: text) else { throw TaskRow.unreadable("\(text) is not a kind of evidence") }
        self.init(sha256: try row.text(0), kind: kind, document: try row.bytes(2))
    }
}
