package import Contracts
package import FoundationEssentials
package import Postgres

/// A program's key. The key itself is shown once, when it is made, and kept by nobody here.
package struct APIKey: Sendable, Equatable {
    /// `gk_` and 8 letters or digits: the key's first characters.
    package let id: String
    package let tenant: TenantID
    package let label: String
    package let role: Role
    /// SHA-256 of the whole key.
    package let hash: [UInt8]
    package let createdBy: String
    package let createdAt: Date
    package let expiresAt: Date?
    package var revokedAt: Date?
    /// At most a minute behind.
    package var lastUsedAt: Date?

    package init(
        id: String, tenant: TenantID, label: String, role: Role, hash: [UInt8], createdBy: String, createdAt: Date,
        expiresAt: Date?
    ) {
        self.id = id
        self.tenant = tenant
        self.label = label
        self.role = role
        self.hash = hash
        self.createdBy = createdBy
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }

    package func isUsable(at now: Date) -> Bool { revokedAt == nil && expiresAt.map { now < $0 } ?? true }
}

/// The API keys.
package final class APIKeyStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// False when the id is taken: make another key.
    package func add(_ key: APIKey) async throws -> Bool { try await !pool.execute(InsertAPIKey(key: key)).isEmpty }

    /// Of any tenant: whoever holds the key need not say whose it is.
    package func find(_ id: String) async throws -> APIKey? { try await pool.execute(FindAPIKey(id: id)).first }

    /// Newest first, older than `before`.
    package func list(
        tenant: TenantID, before: (createdAt: Date, id: String)?, limit: Int
    ) async throws -> [APIKey] {
        try await pool.execute(ListAPIKeys(tenant: tenant, before: before, limit: limit))
    }

    /// For ever. Answers the key, or nil when the tenant has no such key; revoking twice keeps the first time.
    package func revoke(_ id: String, tenant: TenantID, by principal: String, now: Date) async throws -> APIKey? {
        try await pool.execute(RevokeAPIKey(id: id, tenant: tenant, principal: principal, now: now)).first
    }

    /// Notes the time of use, unless that was done within the last minute.
    package func noteUse(of id: String, now: Date) async throws {
        try await pool.execute(NoteAPIKeyUse(id: id, now: now))
    }
}

struct InsertAPIKey: PostgresStatement {
    let key: APIKey

    static let sql = """
        INSERT INTO api_keys (id, tenant_id, label, role, hash, created_by, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(key.id)
        bindings.text(key.tenant.text)
        bindings.text(key.label)
        bindings.text(key.role.rawValue)
        bindings.bytes(key.hash)
        bindings.text(key.createdBy)
        bindings.timestamp(key.createdAt)
        bindings.timestamp(key.expiresAt)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

struct FindAPIKey: PostgresStatement {
    let id: String

    static let isReadOnly = true
    static let sql = "SELECT " + APIKeyColumns.list + " FROM api_keys WHERE id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.text(id) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey { try APIKeyColumns.read(row) }
}

struct ListAPIKeys: PostgresStatement {
    let tenant: TenantID
    let before: (createdAt: Date, id: String)?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + APIKeyColumns.list + """
             FROM api_keys
            WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
            ORDER BY created_at DESC, id DESC LIMIT $4
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.timestamp(before?.createdAt)
        bindings.text(before?.id)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey { try APIKeyColumns.read(row) }
}

struct RevokeAPIKey: PostgresStatement {
    let id: String
    let tenant: TenantID
    let principal: String
    let now: Date

    static let sql =
        """
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, $4), revoked_by = coalesce(revoked_by, $3)
        WHERE id = $1 AND tenant_id = $2 RETURNING\u{20}
        """ + APIKeyColumns.list

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(id)
        bindings.text(tenant.text)
        bindings.text(principal)
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey { try APIKeyColumns.read(row) }
}

struct NoteAPIKeyUse: PostgresStatement {
    let id: String
    let now: Date

    static let sql = """
        UPDATE api_keys SET last_used_at = $2
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2 - interval '1 minute')
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(id)
        bindings.timestamp(now)
    }
}

enum APIKeyColumns {
    static let list =
        "id, tenant_id, label, role, hash, created_by, created_at, expires_at, revoked_at, last_used_at"

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey {
        var key = APIKey(
            id: try row.text(0), tenant: try row.name(1), label: try row.text(2), role: try row.role(3),
            hash: try row.bytes(4), createdBy: try row.text(5), createdAt: try row.timestamp(6),
            expiresAt: try row.timestampOrNil(7)
        )
        key.revokedAt = try row.timestampOrNil(8)
        key.lastUsedAt = try row.timestampOrNil(9)
        return key
    }
}
