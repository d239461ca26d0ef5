package import Contracts
package import FoundationEssentials
package import Postgres

/// Whose tokens count no more. The tables of users and keys write it themselves, whoever changes them.
package struct TokenRevocationStore: Sendable {
    /// The most that are read at once, the newest first; older ones are about tokens that have expired.
    package static let readMax = 100_000

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// What has changed since about `time`, newest first; nil: all.
    ///
    /// Reads ten seconds further back, for what was committed later than it is dated.
    package func changed(since time: Date?) async throws -> [TokenRevocation] {
        try await pool.execute(ListRevocations(time: time, limit: Self.readMax))
    }
}

package struct TokenRevocation: Sendable, Equatable {
    package let tenant: TenantID
    package let subject: String
    /// Nil: no token counts. Otherwise those issued after it.
    package let validAfter: Date?
    package let changedAt: Date
}

struct ListRevocations: PostgresStatement {
    let time: Date?
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT tenant_id, subject, valid_after, changed_at FROM token_revocations
        WHERE $1::timestamptz IS NULL OR changed_at > $1 - interval '10 seconds'
        ORDER BY changed_at DESC LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.timestamp(time)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TokenRevocation {
        TokenRevocation(
            tenant: try row.name(0), subject: try row.text(1), validAfter: try row.timestampOrNil(2),
            changedAt: try row.timestamp(3)
        )
    }
}
