package import Contracts
package import FoundationEssentials
package import Postgres

/// The rate limits that were set at run time, shared by all replicas; every version is kept.
package final class RateLimitStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// The newest; nil when none were ever set.
    package func newest() async throws -> StoredRateLimits? {
        try await pool.execute(NewestRateLimits()).first
    }

    /// Adds the version after `version`, which must be the newest (0: there is none).
    ///
    /// - Returns: false when it is not; nothing was changed then.
    package func add(_ limits: StoredRateLimits, after version: Int) async throws -> Bool {
        precondition(limits.version == version + 1, "Versions follow each other.")
        return try await !pool.execute(AddRateLimits(limits: limits)).isEmpty
    }
}

/// One version of the limits.
package struct StoredRateLimits: Sendable, Equatable {
    package let version: Int
    package let document: JSON
    package let changedBy: String
    package let changedAt: Date

    package init(version: Int, document: JSON, changedBy: String, changedAt: Date) {
        self.version = version
        self.document = document
        self.changedBy = changedBy
        self.changedAt = changedAt
    }
}

struct NewestRateLimits: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT version, document, changed_by, changed_at FROM rate_limits ORDER BY version DESC LIMIT 1"

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredRateLimits {
        StoredRateLimits(
            version: try row.int(0), document: try row.parsedJSON(1), changedBy: try row.text(2),
            changedAt: try row.timestamp(3)
        )
    }
}

struct AddRateLimits: PostgresStatement {
    let limits: StoredRateLimits

    /// Who comes second finds the row of the first: by the condition, or by the primary key when both run at once.
    static let sql = """
        INSERT INTO rate_limits (version, document, changed_by, changed_at) SELECT $1, $2, $3, $4
        WHERE (SELECT coalesce(max(version), 0) FROM rate_limits) = $1 - 1
        ON CONFLICT DO NOTHING RETURNING version
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int32(Int32(limits.version))
        bindings.json(Array(limits.document.bytes))
        bindings.text(limits.changedBy)
        bindings.timestamp(limits.changedAt)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
