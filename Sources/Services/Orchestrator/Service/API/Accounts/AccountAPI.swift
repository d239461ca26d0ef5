internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// The users and API keys of the caller's own tenant. The routes, as data, stand in `AccountAPI+Routes`.
struct AccountAPI: Sendable {
    static let passwordBytesMin = 12
    static let labelMax = 120
    /// Ten years, in seconds.
    static let lifetimeMax = 10 * 366 * 86_400
    /// Ids are random; so many in a row that are taken are no accident.
    static let idAttempts = 3

    let users: UserStore
    let keys: APIKeyStore
    let hasher: PasswordHasher
    let keyring: SigningKeyring
    let revocations: RevocationKeeper

    // MARK: Users

    func listUsers(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var query = try QueryReader(request)
        let page = try query.page(of: "users")
        try query.refuseUnknown()
        let found = try await users.list(
            tenant: principal.tenant, after: page.after?.keys.first, limit: page.limit)
        return .json(
            page.document("users", found, cursor: { Cursor([$0.name]) }, view: { AccountView.user($0) }))
    }

    func addUser(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var body = try JSONReader(try await request.readJSON(limit: AuthAPI.bodyBytesMax))
        let name = try body.bounded("name", bytesMax: 127).lowercased()
        guard User.isName(name) else {
            throw body.error("name", "must be 1 to 127 of a-z 0-9 . _ @ + - and start with a letter or digit")
        }
        let role = try Self.role(&body)
        let given = try Self.password(&body)
        try body.refuseUnknown()
        let password = given ?? GeneratedPassword.make()
        let user = User(
            tenant: principal.tenant, name: name, role: role,
            passwordHash: try await hasher.hash(password, for: context.limitedAddress).text,
            createdBy: principal.subject, createdAt: Date()
        )
        context.setAuditNote(Self.note(("user", name), ("role", role.rawValue)))
        guard try await users.add(user) else {
            throw Problem(.conflict, "There is a user of this name already; nothing was changed.")
        }
        return .json(AccountView.user(user, password: given == nil ? password : nil), status: .created)
    }

    func setPassword(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let name = context.path("name").lowercased()
        let json = try await request.readOptionalJSON(limit: AuthAPI.bodyBytesMax)
        var body = try JSONReader(json ?? .emptyObject)
        let given = try Self.password(&body)
        try body.refuseUnknown()
        let password = given ?? GeneratedPassword.make()
        let hash = try await hasher.hash(password, for: context.limitedAddress).text
        guard User.isName(name),
            try await users.setPassword(hash, of: name, tenant: principal.tenant, now: Date()),
            let user = try await users.find(name, tenant: principal.tenant)
        else { throw Problem.notFound("user") }
        return .json(AccountView.user(user, password: given == nil ? password : nil))
    }

    func disableUser(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        guard context.path("name").lowercased() != principal.subject else {
            throw Problem(.conflict, "Nobody disables themselves; let another admin do it. Nothing was changed.")
        }
        return try await changeUser(context, disabledAt: Date())
    }

    func enableUser(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        try await changeUser(context, disabledAt: nil)
    }

    private func changeUser(_ context: EdgeRequestContext, disabledAt: Date?) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        let name = context.path("name").lowercased()
        guard User.isName(name), try await users.setDisabled(disabledAt, name: name, tenant: tenant),
            let user = try await users.find(name, tenant: tenant)
        else { throw Problem.notFound("user") }
        try await revocations.changed()
        return .json(AccountView.user(user))
    }

    // MARK: Keys

    func listKeys(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var query = try QueryReader(request)
        let page = try query.page(of: "api-keys")
        try query.refuseUnknown()
        let found = try await keys.list(
            tenant: principal.tenant, before: page.after?.place { (createdAt: $0, id: $1) }, limit: page.limit)
        return .json(
            page.document(
                "api_keys", found, cursor: { Cursor($0.createdAt, $0.id) }, view: { AccountView.key($0) }))
    }

    func addKey(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var body = try JSONReader(try await request.readJSON(limit: AuthAPI.bodyBytesMax))
        let label = try body.string("label")
        guard (1...Self.labelMax).contains(label.unicodeScalars.count) else {
            throw body.error("label", "must be 1 to \(Self.labelMax) characters")
        }
        let role = try Self.role(&body)
        let lifetime = try body.optionalInt("expires_in_seconds")
        if let lifetime, !(60...Self.lifetimeMax).contains(lifetime) {
            throw body.error("expires_in_seconds", "must be from 60 to \(Self.lifetimeMax)")
        }
        try body.refuseUnknown()
        let now = Date()
        for _ in 1...Self.idAttempts {
            let text = APIKeyText()
            let key = APIKey(
                id: text.id, tenant: principal.tenant, label: label, role: role, hash: text.hash,
                createdBy: principal.subject, createdAt: now, expiresAt: lifetime.map { now + Double($0) }
            )
            guard try await keys.add(key) else { continue }
            context.setAuditNote(Self.note(("api_key", key.id), ("role", role.rawValue)))
            return .json(AccountView.key(key, text: text.text), status: .created)
        }
        throw Problem(.unavailable, "No free id for a key was found; nothing was kept.", retryAfterSeconds: 1)
    }

    func revokeKey(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let revoked = try await keys.revoke(
            context.path("id"), tenant: principal.tenant, by: principal.subject, now: Date())
        guard let revoked else { throw Problem.notFound("API key") }
        try await revocations.changed()
        return .json(AccountView.key(revoked))
    }

    func rotateSigningKeys(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var body = try JSONReader(
            try await request.readOptionalJSON(limit: AuthAPI.bodyBytesMax) ?? .emptyObject)
        let isImmediate = try body.optionalBool("immediately") ?? false
        try body.refuseUnknown()
        context.setAuditNote(Self.note(("immediately", "\(isImmediate)")))
        try await keyring.rotate(immediately: isImmediate)
        revocations.tell()
        return .json(keyring.publicKeys(), status: .created)
    }

    // MARK: Fields

    private static func role(_ body: inout JSONReader) throws(JSONError) -> Role {
        guard let role = Role(claim: try body.string("role")) else {
            let known = Role.allCases.filter { $0 != .anonymous }.map(\.rawValue).joined(separator: ", ")
            throw body.error("role", "must be one of \(known)")
        }
        return role
    }

    /// Nil when one is to be generated.
    private static func password(_ body: inout JSONReader) throws(JSONError) -> String? {
        guard let password = try body.optionalString("password") else { return nil }
        guard (passwordBytesMin...AuthAPI.passwordBytesMax).contains(password.utf8.count) else {
            throw body.error("password", "must be \(passwordBytesMin) to \(AuthAPI.passwordBytesMax) bytes")
        }
        return password
    }

    private static func note(_ facts: (name: String, value: String)...) -> AuditNote {
        var note = AuditNote()
        note.facts = facts
        return note
    }
}

/// Users and keys as the API shows them.
enum AccountView {
    /// - Parameter password: a generated one, shown this once.
    static func user(_ user: User, password: String? = nil) -> JSON {
        JSONWriter.object { writer in
            writer.field("name", user.name)
            writer.field("tenant", user.tenant.text)
            writer.field("role", user.role.rawValue)
            writer.field("state", user.disabledAt == nil ? "active" : "disabled")
            writer.field("created_by", user.createdBy)
            writer.field("created_at", Timestamp.text(user.createdAt))
            writer.field("password_changed_at", Timestamp.text(user.passwordChangedAt))
            writer.field(ifPresent: "disabled_at", user.disabledAt.map(Timestamp.text))
            writer.field(ifPresent: "last_login_at", user.lastLoginAt.map(Timestamp.text))
            writer.field(ifPresent: "password", password)
        }
    }

    /// - Parameter text: the key itself, shown this once.
    static func key(_ key: APIKey, text: String? = nil) -> JSON {
        JSONWriter.object { writer in
            writer.field("id", key.id)
            writer.field("tenant", key.tenant.text)
            writer.field("label", key.label)
            writer.field("role", key.role.rawValue)
            writer.field("state", state(key))
            writer.field("created_by", key.createdBy)
            writer.field("created_at", Timestamp.text(key.createdAt))
            writer.field(ifPresent: "expires_at", key.expiresAt.map(Timestamp.text))
            writer.field(ifPresent: "revoked_at", key.revokedAt.map(Timestamp.text))
            writer.field(ifPresent: "last_used_at", key.lastUsedAt.map(Timestamp.text))
            writer.field(ifPresent: "key", text)
        }
    }

    private static func state(_ key: APIKey) -> String {
        if key.revokedAt != nil { return "revoked" }
        return key.isUsable(at: Date()) ? "active" : "expired"
    }
}
