internal import Bootstrap
internal import HTTPEdge
internal import Logging
internal import MessageBus
internal import Postgres
internal import ServiceLifecycle
internal import Storage

/// Accounts and audit, put together for the orchestrator.
struct Accounts: Sendable {
    static let schemas = AuthAPI.schemas + AccountAPI.schemas + AuditAPI.schemas

    /// The installation's own keys, for the verifier of tokens.
    let keyring: SigningKeyring
    /// Whose tokens count no more, for the same.
    let revocations: TokenRevocations
    /// Where the edge reports what is to be audited.
    let recorder: AuditRecorder
    let routes: [Route]
    /// Stopped after the server, so that its last answers are still written down.
    let services: [any Service]
    private let audit: AuditStore

    init(
        _ configuration: OrchestratorConfiguration, pool: PostgresPool, bus: MessageBus, registry: MetricsRegistry,
        logger: Logger
    ) {
        let signing = SigningKeyStore(pool: pool)
        let keyring = SigningKeyring(
            secrets: configuration.tokens.secrets, load: { try await signing.valid(at: $0) },
            change: { try await signing.change(now: $0, $1) }
        )
        self.keyring = keyring
        let keeper = RevocationKeeper(store: TokenRevocationStore(pool: pool), bus: bus, logger: logger)
        revocations = keeper.revocations
        audit = AuditStore(pool: pool)
        recorder = AuditRecorder(store: audit, registry: registry, logger: logger)
        let users = UserStore(pool: pool)
        let keys = APIKeyStore(pool: pool)
        let hasher = PasswordHasher()
        let issuer = TokenIssuer(
            keyring: keyring, issuer: configuration.tokens.issuer, audience: configuration.tokens.audience
        )
        let auth = AuthAPI(
            users: users, keys: keys, hasher: hasher, issuer: issuer, keyring: keyring, logger: logger
        )
        let accounts = AccountAPI(
            users: users, keys: keys, hasher: hasher, keyring: keyring, revocations: keeper)
        routes = auth.routes + accounts.routes + AuditAPI(store: audit).routes
        // Makes the next key in time, and learns of those that others made or retired.
        let signers = keeper.refresher("signing keys") { try await keyring.keepUp() }
        services = [recorder, signers, keeper.service]
    }

    /// Writes what was submitted; before the connections are closed.
    func shutdown() async { await audit.shutdown() }
}
