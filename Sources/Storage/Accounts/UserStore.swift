package import Contracts
package import FoundationEssentials
package import Postgres

/// Somebody who logs in with a password.
package struct User: Sendable, Equatable {
    package let tenant: TenantID
    /// Lower case; see `User.isName`.
    package let name: String
    package let role: Role
    /// With its parameters; never shown.
    package let passwordHash: String
    package let createdBy: String
    package let createdAt: Date
    package var passwordChangedAt: Date
    package var disabledAt: Date?
    package var lastLoginAt: Date?

    package init(
        tenant: TenantID, name: String, role: Role, passwordHash: String, createdBy: String, createdAt: Date
    ) {
        self.tenant = tenant
        self.name = name
        self.role = role
        self.passwordHash = passwordHash
        self.createdBy = createdBy
        self.createdAt = createdAt
        passwordChangedAt = createdAt
    }

    /// `[a-z0-9][a-z0-9._@+-]{0,126}`: e-mail addresses of the usual kind are names.
    package static func isName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        let isLetter: (UInt8) -> Bool = {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
        return (1...127).contains(bytes.count) && bytes.first.map(isLetter) == true
            && bytes.allSatisfy { isLetter($0) || Array("._@+-".utf8).contains($0) }
    }
}

/// The users, and how often somebody has tried to be one of them.
package final class UserStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// False when the name is taken; nothing is changed then.
    package func add(_ user: User) async throws -> Bool { try await !pool.execute(InsertUser(user: user)).isEmpty }

    /// Adds the installation's first user; false when there is one already, in whichever tenant.
    ///
    /// - Parameter entry: commits to the audit log with the user.
    package func addFirst(_ user: User, audit entry: AuditEntry) async throws -> Bool {
        try await pool.transaction { tx in
            try tx.enqueue(LockUsers())
            if try tx.execute(InsertFirstUser(user: user)).isEmpty { return false }
            try AuditStore.append([entry], in: tx)
            return true
        }
    }

    package func find(_ name: String, tenant: TenantID) async throws -> User? {
        try await pool.execute(FindUser(tenant: tenant, name: name)).first
    }

    /// By name, from the one after `after` on.
    package func list(tenant: TenantID, after: String?, limit: Int) async throws -> [User] {
        try await pool.execute(ListUsers(tenant: tenant, after: after, limit: limit))
    }

    /// False when there is no such user.
    package func setPassword(_ hash: String, of name: String, tenant: TenantID, now: Date) async throws -> Bool {
        try await !pool.execute(SetPassword(tenant: tenant, name: name, hash: hash, now: now)).isEmpty
    }

    /// Disables the user from `at` on, or with nil lets them in again; false when there is no such user.
    package func setDisabled(_ at: Date?, name: String, tenant: TenantID) async throws -> Bool {
        try await !pool.execute(DisableUser(tenant: tenant, name: name, at: at)).isEmpty
    }

    // MARK: Attempts

    /// What counting one more attempt found.
    package struct Attempt: Sendable, Equatable {
        /// This one included, since the last login that succeeded.
        package let count: Int
        /// When counting starts anew.
        package let expiresAt: Date

        package init(count: Int, expiresAt: Date) {
            self.count = count
            self.expiresAt = expiresAt
        }
    }

    /// Counts an attempt before its password is looked at, so that a hundred at once are a hundred.
    ///
    /// - Parameters:
    ///   - key: SHA-256 of whoever is counted together.
    ///   - limit: with this attempt the lock begins; it lasts `window`, and further attempts do not prolong it.
    ///   - window: also how long attempts are remembered without a lock.
    package func countAttempt(_ key: [UInt8], limit: Int, window: TimeInterval, now: Date) async throws -> Attempt {
        let statement = CountAttempt(key: key, limit: limit, window: window, now: now)
        guard let attempt = try await pool.execute(statement).first else {
            throw StoreError(.guardFailed, "An attempt to log in could not be counted. Nobody was let in.")
        }
        return attempt
    }

    /// A login succeeded: forgets its attempts and notes the time.
    package func noteLogin(_ name: String, tenant: TenantID, attempts key: [UInt8], now: Date) async throws {
        try await pool.execute(NoteLogin(tenant: tenant, name: name, key: key, now: now))
    }
}
