internal import Contracts
internal import FoundationEssentials
internal import Postgres

struct InsertUser: PostgresStatement {
    let user: User

    static let sql = """
        INSERT INTO users (tenant_id, name, role, password_hash, password_changed_at, created_by, created_at)
        VALUES ($1, $2, $3, $4, $6, $5, $6) ON CONFLICT DO NOTHING RETURNING name
        """

    func bind(to bindings: inout PostgresBindings) { bindings.user(user) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// One first user only, though two replicas may start at once.
struct LockUsers: PostgresStatement {
    static let sql = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"
}

struct InsertFirstUser: PostgresStatement {
    let user: User

    static let sql = """
        INSERT INTO users (tenant_id, name, role, password_hash, password_changed_at, created_by, created_at)
        SELECT $1, $2, $3, $4, $6, $5, $6 WHERE NOT EXISTS (SELECT FROM users) RETURNING name
        """

    func bind(to bindings: inout PostgresBindings) { bindings.user(user) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

extension PostgresBindings {
    fileprivate mutating func user(_ user: User) {
        text(user.tenant.text)
        text(user.name)
        text(user.role.rawValue)
        text(user.passwordHash)
        text(user.createdBy)
        timestamp(user.createdAt)
    }
}

struct FindUser: PostgresStatement {
    let tenant: TenantID
    let name: String

    static let isReadOnly = true
    static let sql = "SELECT " + UserColumns.list + " FROM users WHERE tenant_id = $1 AND name = $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> User { try UserColumns.read(row) }
}

struct ListUsers: PostgresStatement {
    let tenant: TenantID
    let after: String?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + UserColumns.list + """
             FROM users
            WHERE tenant_id = $1 AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(after)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> User { try UserColumns.read(row) }
}

struct SetPassword: PostgresStatement {
    let tenant: TenantID
    let name: String
    let hash: String
    let now: Date

    static let sql = """
        UPDATE users SET password_hash = $3, password_changed_at = $4 WHERE tenant_id = $1 AND name = $2 RETURNING name
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name)
        bindings.text(hash)
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// Disabling twice keeps the first time.
struct DisableUser: PostgresStatement {
    let tenant: TenantID
    let name: String
    let at: Date?

    static let sql = """
        UPDATE users SET disabled_at = CASE WHEN $3::timestamptz IS NULL THEN NULL ELSE coalesce(disabled_at, $3) END
        WHERE tenant_id = $1 AND name = $2 RETURNING name
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name)
        bindings.timestamp(at)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// Counts up, or from one again when the time is over; the attempt that reaches the limit starts the lock's own time.
/// Sweeps a few that are over, so that the table cannot grow without end.
struct CountAttempt: PostgresStatement {
    let key: [UInt8]
    let limit: Int
    let window: TimeInterval
    let now: Date

    static let sql = """
        WITH swept AS (
            DELETE FROM login_attempts WHERE key IN (
                SELECT key FROM login_attempts WHERE expires_at <= $4 AND key <> $1
                ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED
            )
        )
        INSERT INTO login_attempts AS a (key, attempts, started_at, expires_at)
        VALUES ($1, 1, $4, $4 + make_interval(secs => $3))
        ON CONFLICT (key) DO UPDATE SET
            attempts = CASE WHEN a.expires_at <= $4 THEN 1 ELSE least(a.attempts + 1, 1000000) END,
            started_at = CASE WHEN a.expires_at <= $4 THEN $4 ELSE a.started_at END,
            expires_at = CASE WHEN a.expires_at <= $4 OR a.attempts + 1 = $2
                THEN $4 + make_interval(secs => $3) ELSE a.expires_at END
        RETURNING attempts, expires_at
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.bytes(key)
        bindings.int(limit)
        bindings.double(window)
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UserStore.Attempt {
        UserStore.Attempt(count: try row.int(0), expiresAt: try row.timestamp(1))
    }
}

struct NoteLogin: PostgresStatement {
    let tenant: TenantID
    let name: String
    let key: [UInt8]
    let now: Date

    static let sql = """
        WITH forgotten AS (DELETE FROM login_attempts WHERE key = $3)
        UPDATE users SET last_login_at = $4 WHERE tenant_id = $1 AND name = $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name)
        bindings.bytes(key)
        bindings.timestamp(now)
    }
}

enum UserColumns {
    static let list =
        "tenant_id, name, role, password_hash, created_by, created_at, password_changed_at, disabled_at, last_login_at"

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> User {
        var user = User(
            tenant: try row.name(0), name: try row.text(1), role: try row.role(2), passwordHash: try row.text(3),
            createdBy: try row.text(4), createdAt: try row.timestamp(5)
        )
        user.passwordChangedAt = try row.timestamp(6)
        user.disabledAt = try row.timestampOrNil(7)
        user.lastLoginAt = try row.timestampOrNil(8)
        return user
    }
}

extension PostgresRow {
    borrowing func role(_ column: Int) throws(PostgresError) -> Role {
        let text = try text(column)
        guard let role = Role(claim: text) else { throw TaskRow.unreadable("A role is \(text)") }
        return role
    }
}
