internal import AsyncHTTPClient
internal import Bootstrap
internal import Contracts
internal import Coordination
internal import DLQWorkerCore
internal import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
internal import Postgres
internal import Redis
package import ServiceLifecycle
internal import Storage

/// Puts a dlq-worker together: it files what no consumer could process, tells people, and sends it again when somebody
/// says so.
///
/// Owns the table of dead letters. Hears `dlq.>` and the server's advisories; says whatever subject a letter was meant
/// for. Any number run side by side and keep nothing to themselves.
package struct DLQWorker: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]

    package init(
        _ configuration: DLQWorkerConfiguration, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) async throws {
        let registry = MetricsRegistry()
        ProcessMetrics.install(in: registry)
        let durations = registry.histogram(
            "db_query_duration_seconds", "Time of one statement, by statement.", labels: ["statement"]
        )
        var postgres = configuration.postgres
        postgres.observer = { statement, duration, _ in durations[statement].observe(duration) }
        let pool = PostgresPool(postgres, logger: logger)
        let store = DeadLetterStore(pool: pool)
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        let instruments = DLQInstruments(registry)
        let sender = LetterSender(bus: bus, store: store, logger: logger)
        // Before anything else uses event loops: the server says how many there are.
        let server = Self.server(
            configuration, bus: bus, store: store, registry: registry, logger: logger, onListening: onListening)
        let sinks = try Sinks(configuration, bus: bus, registry: registry, logger: logger)
        services = [
            Running("postgres", run: pool.run, stop: { await pool.shutdown(within: $0) }),
            bus.tracer, Running("nats", run: Running.untilShutdown, stop: { await wire.shutdown(within: $0) }),
            Running("topology", run: bus.setUpAndRun), sinks,
            AlertDesk(
                store: store, instruments: instruments, thresholds: configuration.thresholds, sinks: sinks.all,
                logger: logger),
            LetterIntake(bus: bus, store: store, instruments: instruments, logger: logger),
            AdvisoryIntake(bus: bus, store: store, instruments: instruments, logger: logger),
            Replayer(sender: sender, store: store, instruments: instruments, logger: logger),
            Answerer(
                sender: sender, store: store, instruments: instruments, minAge: configuration.answerAfter,
                logger: logger),
            LetterRetention(
                bus: bus, store: store, age: configuration.keep, folder: configuration.archive, logger: logger),
            server,
        ]
    }

    /// Health, readiness and metrics; the API is the orchestrator's.
    private static func server(
        _ configuration: DLQWorkerConfiguration, bus: MessageBus, store: DeadLetterStore, registry: MetricsRegistry,
        logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void
    ) -> EdgeServer {
        let http = HTTPServerMetrics(registry)
        return EdgeServer.health(
            of: "dlq-worker", version: Version.current,
            EdgeServerConfiguration(
                host: configuration.httpHost, port: configuration.httpPort, socket: configuration.handover.socket,
                announce: configuration.handover.announce),
            checks: [
                Readiness.Check("postgres") { try await store.checkSchema() },
                Readiness.Check("nats") { try await bus.checkHealth() },
            ],
            metrics: EdgeMetrics(record: http.record, render: registry.text, checked: http.checked), logger: logger,
            onListening: onListening
        )
    }
}

/// Where alerts go, each behind its circuit breaker; to run as long as anything is told.
final class Sinks: Service {
    private static let closeTimeout: Duration = .seconds(2)
    /// Alerts are few: two that fail in a row say as much as twenty calls elsewhere, and a receiver that is away must
    /// not keep the others waiting.
    private static let policy = BreakerPolicy(callsMin: 2)

    let all: [(sink: any AlertSink, breaker: CircuitBreaker?)]
    private let breakers: BreakerRegistry
    private let redis: RedisConnection?
    private let bus: MessageBus
    private let client: HTTPClient

    init(
        _ configuration: DLQWorkerConfiguration, bus: MessageBus, registry: MetricsRegistry, logger: Logger
    ) throws {
        self.bus = bus
        redis = configuration.redis.map { RedisConnection($0, logger: logger) }
        let breakers = BreakerRegistry(
            redis: redis, replica: "dlq-worker.\(String(UInt32.random(in: 0...UInt32.max), radix: 36))",
            replicas: { 1 }, logger: logger, settings: BreakerRegistry.Settings(policy: Self.policy),
            onNews: { bus.tellOfBreaker($0, version: $1) }
        )
        self.breakers = breakers
        let states = registry.gauge(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open, as this replica acts.", labels: ["name"])
        registry.collect { for status in breakers.statuses { states[status.name].set(status.state.rawValue) } }
        client = HTTPClient(eventLoopGroupProvider: .singleton)
        var all: [(sink: any AlertSink, breaker: CircuitBreaker?)] = [(LogSink(logger: logger), nil)]
        if let base = configuration.alertmanager {
            let url = base.hasSuffix("/") ? base + "api/v2/alerts" : base + "/api/v2/alerts"
            all.append(
                (
                    AlertmanagerSink(post: AlertPost(url: url, client: client)),
                    try breakers.breaker("alerts:alertmanager")
                ))
        }
        if let url = configuration.webhook {
            all.append((ChatSink(post: AlertPost(url: url, client: client)), try breakers.breaker("alerts:webhook")))
        }
        self.all = all
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let redis = self.redis { group.addTask { try await redis.run() } }
                group.addTask { try await self.breakers.run() }
                group.addTask { try await self.bus.hearOfBreakers { self.breakers.heard($0, version: $1) } }
                try await group.waitForAll()
            }
        }
        await redis?.shutdown(within: Self.closeTimeout)
        try await client.shutdown()
    }
}
