package import Bootstrap
internal import Contracts
internal import Coordination
internal import HTTPEdge
package import MessageBus
package import Postgres
package import Redis

/// Everything an orchestrator is told from outside, read once.
///
/// Keys: `GOLDEN_POSTGRES_URL`, `GOLDEN_REDIS_URL`, `GOLDEN_REDIS_CA`,
/// `GOLDEN_REDIS_TIMEOUT_MS`, `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`, `GOLDEN_TRUSTED_PROXIES` (networks of the proxies
/// in front, whose `X-Forwarded-For` counts), `GOLDEN_JWT_SECRET`, `GOLDEN_JWKS_FILE`,
/// `GOLDEN_JWT_ISSUER`, `GOLDEN_JWT_AUDIENCE`, `GOLDEN_RATE_LIMITS`, `GOLDEN_TENANT_CONCURRENCY`,
/// `GOLDEN_TASK_BUDGET_TOKENS`, `GOLDEN_SANDBOX_QUEUE`, `GOLDEN_POOL_SIZE`, `GOLDEN_MIGRATIONS`.
/// Besides those of `BusSettings` and `WebhookConfiguration`. Each may be given as `<KEY>_FILE` instead.
package struct OrchestratorConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var bus: BusSettings
    package var redis: RedisConfiguration
    package var httpHost: String
    package var httpPort: Int
    package var handover: Handover
    var trustedProxies: TrustedProxies
    var tokens: TokenConfiguration
    var rateLimits: RateLimitRules
    var tenantConcurrency: Int
    /// Tokens held for a task that names no budget of its own, where its tenant or project has one.
    var taskBudgetTokens: Int
    /// Runs of one tenant that may wait for the sandbox.
    var sandboxQueue: Int
    package var migrations: String
    var webhooks: WebhookConfiguration

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-orchestrator"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 6, in: 2...64)
        bus = try BusSettings(settings, name: "golden-orchestrator")
        redis = try RedisConfiguration(settings)
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8080, in: 0...65_535)
        handover = try Handover(settings)
        trustedProxies = try Self.trustedProxies(settings)
        tokens = TokenConfiguration(
            issuer: try settings.string("GOLDEN_JWT_ISSUER", default: "golden"),
            audience: try settings.string("GOLDEN_JWT_AUDIENCE", default: "golden-api"),
            secrets: try settings.optionalSecret("GOLDEN_JWT_SECRET").map { [Array($0.utf8)] } ?? [],
            keySetFile: try settings.optionalString("GOLDEN_JWKS_FILE")
        )
        rateLimits = try Self.rateLimits(settings)
        tenantConcurrency = try settings.int("GOLDEN_TENANT_CONCURRENCY", default: 100_000, in: 1...1_000_000)
        taskBudgetTokens = try settings.int(
            "GOLDEN_TASK_BUDGET_TOKENS", default: 10_000, in: TaskSubmission.budgetRange)
        sandboxQueue = try settings.int("GOLDEN_SANDBOX_QUEUE", default: 100, in: 1...10_000)
        migrations = try settings.string("GOLDEN_MIGRATIONS", default: "migrations")
        webhooks = try WebhookConfiguration(settings)
    }

    private static func trustedProxies(_ settings: ServiceConfiguration) throws -> TrustedProxies {
        let key = "GOLDEN_TRUSTED_PROXIES"
        var networks: [IPNetwork] = []
        for entry in try settings.list(key, default: "") {
            guard let network = IPNetwork(entry) else {
                let form = "must be networks such as 10.1.0.0/16 or fd00::/8, with commas between"
                throw settings.invalid(key, "\(form); \(entry) is none")
            }
            networks.append(network)
        }
        return TrustedProxies(networks)
    }

    /// A JSON document like that of `PUT /admin/rate-limits`, or requests a minute by role or operation.
    private static func rateLimits(_ settings: ServiceConfiguration) throws -> RateLimitRules {
        let key = "GOLDEN_RATE_LIMITS"
        if let text = try settings.optionalString(key), text.first(where: { !$0.isWhitespace }) == "{" {
            do {
                return try RateLimitRules(json: JSON(parsing: text.utf8))
            } catch {
                throw settings.invalid(key, "is no document of rate limits: \(error)")
            }
        }
        var rules = RateLimitRules.builtIn
        for (name, count) in try settings.table(key, default: "") {
            guard RateLimitRules.limitRange.contains(count) else {
                throw settings.invalid(key, "must be a JSON document or <role or operation>=<requests per minute>, …")
            }
            if Role(rawValue: name) != nil {
                rules.roles[name] = .perMinute(count)
            } else {
                rules.routes[name] = .perMinute(count)
            }
        }
        return rules
    }
}

extension RedisConfiguration {
    init(_ settings: ServiceConfiguration) throws {
        let key = "GOLDEN_REDIS_URL"
        let authority = try settings.optionalString("GOLDEN_REDIS_CA")
        guard let redis = RedisConfiguration(url: try settings.url(key), authorityFile: authority) else {
            throw settings.invalid(key, "must be redis://[user]:password@host:port/database, or rediss:// for TLS")
        }
        self = redis
        commandTimeout = .milliseconds(try settings.int("GOLDEN_REDIS_TIMEOUT_MS", default: 25, in: 1...1000))
    }
}
