internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Storage

/// Turns passwords and API keys into short-lived tokens.
struct AuthAPI: Sendable {
    /// Attempts of one user from one address, or IPv6 network, that are looked at; then comes the lock.
    static let attemptsMax = 5
    /// How long the lock lasts, and attempts are remembered.
    static let lockSeconds: TimeInterval = 900
    static let passwordBytesMax = 1024
    static let bodyBytesMax = 16 * 1024
    static let tenantDefault = TenantID(literal: "default")

    let users: UserStore
    let keys: APIKeyStore
    let hasher: PasswordHasher
    let issuer: TokenIssuer
    let keyring: SigningKeyring
    let logger: Logger

    func login(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let name = try body.bounded("user", bytesMax: 127).lowercased()
        let password = try body.bounded("password", bytesMax: Self.passwordBytesMax)
        let tenant: TenantID = try body.optionalName("tenant") ?? Self.tenantDefault
        try body.refuseUnknown()
        let now = Date()
        let attempts = Self.attemptsKey(name, tenant, context.limitedAddress)
        let attempt = try await users.countAttempt(
            attempts, limit: Self.attemptsMax, window: Self.lockSeconds, now: now)
        guard attempt.count <= Self.attemptsMax else {
            let seconds = max(1, Int(attempt.expiresAt.timeIntervalSince(now).rounded(.up)))
            throw Problem(
                .loginLocked, "Too many logins of this user failed from here. Try again in \(seconds) s.",
                retryAfterSeconds: seconds
            )
        }
        // Whether the user exists, is disabled or mistyped shows neither in the answer nor in the time it takes.
        let found = try await User.isName(name) ? users.find(name, tenant: tenant) : nil
        // Only the name of a user there is may stand in the log: any other may be a mistyped password.
        if let found { context.setAuditNote(AuditNote(actor: found.name, role: found.role, tenant: tenant)) }
        let matches = try await hasher.check(
            password, against: found.flatMap { PasswordHash($0.passwordHash) }, for: context.limitedAddress)
        guard matches, let user = found, user.disabledAt == nil else {
            throw Problem(.loginFailed, "The user or the password is wrong.")
        }
        let principal = Principal(subject: user.name, role: user.role, tenant: tenant)
        try await users.noteLogin(user.name, tenant: tenant, attempts: attempts, now: now)
        return try await answer(principal, now)
    }

    func exchange(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let text = try body.bounded("api_key", bytesMax: 256)
        try body.refuseUnknown()
        let now = Date()
        guard let key = try await usableKey(text, now) else {
            throw Problem(.loginFailed, "The API key is unknown, was revoked or has expired.")
        }
        let subject = "key:\(key.id)"
        context.setAuditNote(AuditNote(actor: subject, role: key.role, tenant: key.tenant))
        do {
            try await keys.noteUse(of: key.id, now: now)
        } catch {
            // The time of use is for people who tidy up; a login does not fail for it.
            logger.debug("the use of an API key was not noted", metadata: ["error": "\(error)"])
        }
        return try await answer(Principal(subject: subject, role: key.role, tenant: key.tenant), now)
    }

    private func usableKey(_ text: String, _ now: Date) async throws -> APIKey? {
        guard let given = APIKeyText(text), let key = try await keys.find(given.id) else { return nil }
        return PasswordHash.isEqual(given.hash, key.hash) && key.isUsable(at: now) ? key : nil
    }

    private func answer(_ principal: Principal, _ now: Date) async throws -> Response {
        let issued = try await issuer.issue(to: principal, now: now)
        return .json(
            JSONWriter.object { writer in
                writer.field("access_token", issued.token)
                writer.field("token_type", "Bearer")
                writer.field("expires_in", issued.expiresInSeconds)
                writer.field("subject", principal.subject)
                writer.field("role", principal.role.rawValue)
                writer.field("tenant", principal.tenant.text)
            }
        )
    }

    func publishedKeys(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return .json(keyring.publicKeys())
    }

    private static func attemptsKey(_ name: String, _ tenant: TenantID, _ address: String) -> [UInt8] {
        Array(SHA256.hash(data: Array("\(tenant.text)\u{1}\(name)\u{1}\(address)".utf8)))
    }
}

extension AuthAPI {
    var routes: [Route] {
        [
            Route(.post, "/auth/login", access: .open, operation: Self.loginOperation, handler: login),
            Route(.post, "/auth/token", access: .open, operation: Self.tokenOperation, handler: exchange),
            Route(
                .get, "/.well-known/jwks.json", access: .open, rateLimit: .never, operation: Self.keysOperation,
                handler: publishedKeys
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [("Token", token)]

    private static let token = Schema.object([
        .required("access_token", .text(), "For `Authorization: Bearer`."),
        .required("token_type", .choice(["Bearer"])),
        .required("expires_in", .integer(), "Seconds."), .required("subject", .text()),
        .required("role", .choice(Role.allCases.map(\.rawValue))), .required("tenant", .name),
    ])

    private static let loginOperation = Operation(
        id: "login", summary: "Exchanges a user's password for a token.", tag: "auth",
        body: Body(
            .object([
                .required("user", .text(min: 1, max: 127)), .required("password", .text(min: 1, max: passwordBytesMax)),
                .optional("tenant", .nullable(.name), "`\(tenantDefault.text)` when absent."),
            ]),
            example: JSONWriter.object { writer in
                writer.field("user", "ada")
                writer.field("password", "correct horse battery staple")
            }
        ),
        answers: [Answer(.ok, "The token.", .json(.named("Token")))], problems: [.loginFailed, .loginLocked]
    )

    private static let tokenOperation = Operation(
        id: "exchangeKey", summary: "Exchanges an API key for a token.", tag: "auth",
        body: Body(.object([.required("api_key", .text(min: 1, max: 256))])),
        answers: [Answer(.ok, "The token.", .json(.named("Token")))], problems: [.loginFailed]
    )

    private static let keysOperation = Operation(
        id: "getSigningKeys", summary: "The public keys that verify this installation's tokens (RFC 7517).",
        tag: "auth",
        answers: [
            Answer(.ok, "The keys.", .json(.object([.required("keys", .array(of: .object([], isOpen: true)))])))
        ]
    )
}
