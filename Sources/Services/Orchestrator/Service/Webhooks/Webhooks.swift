internal import Bootstrap
internal import Coordination
internal import FoundationEssentials
internal import HTTPEdge
internal import Logging
internal import Postgres
internal import ServiceLifecycle
internal import Storage

/// Webhooks put together: their API, who delivers them, and what removes the old ones.
struct Webhooks: Sendable {
    static let schemas = WebhookAPI.schemas

    let routes: [Route]
    let services: [any Service]

    init(
        _ configuration: OrchestratorConfiguration, pool: PostgresPool, breakers: BreakerRegistry,
        registry: MetricsRegistry, tracer: Tracer, logger: Logger
    ) {
        let webhooks = WebhookStore(pool: pool)
        let deliveries = DeliveryStore(pool: pool)
        let secrets = WebhookSecrets(installation: configuration.tokens.secrets)
        let metrics = WebhookMetrics(registry)
        let settings = configuration.webhooks
        let sender = WebhookSender(
            resolver: HostResolver(), clients: PinnedClients(authorities: settings.authorities),
            addresses: settings.addresses,
            timeout: settings.timeout
        )
        let attempt = WebhookAttempt(
            deliveries: deliveries, webhooks: webhooks, secrets: secrets, sender: sender, rules: settings.delivery,
            metrics: metrics, tracer: tracer, logger: logger
        )
        let deliverer = WebhookDeliverer(
            deliveries: deliveries, attempt: attempt,
            breakers: ReceiverBreakers(registry: breakers, logger: logger), metrics: metrics, logger: logger
        )
        let retention = DeliveryRetention(deliveries: deliveries, logger: logger)
        routes = WebhookAPI(webhooks: webhooks, deliveries: deliveries, secrets: secrets).routes
        services = [deliverer, Running("webhook-retention", run: retention.run)]
    }
}

/// Removes deliveries that ended long ago.
struct DeliveryRetention: Sendable {
    static let kept: TimeInterval = 30 * 86_400
    static let interval: Duration = .seconds(600)
    static let batchMax = 1000

    let deliveries: DeliveryStore
    let logger: Logger

    /// Until cancelled.
    func run() async throws {
        while true {
            do {
                while try await purge() == Self.batchMax {}
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("old webhook deliveries were not removed", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    private func purge() async throws -> Int {
        try await deliveries.purge(endedBefore: Date() - Self.kept, limit: Self.batchMax)
    }
}
