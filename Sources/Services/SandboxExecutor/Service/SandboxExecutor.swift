internal import Bootstrap
internal import Contracts
internal import Coordination
internal import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
internal import Postgres
internal import Processes
internal import Redis
package import ServiceLifecycle
internal import Storage

/// Puts a sandbox executor together: it runs programs nobody trusts, and says how each ended.
///
/// Owns the table of executions. Hears `sandbox.execute` and `control.sandbox`; says `sandbox.result.<execution>` and
/// the events of what it runs. Without an engine whose layers all hold it serves its health alone, and says why.
package struct SandboxExecutor: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]

    package init(
        _ configuration: SandboxExecutorConfiguration, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) async throws {
        let registry = MetricsRegistry()
        ProcessMetrics.install(in: registry)
        let setup = await EngineSetup(configuration.engine, logger: logger)
        guard let engine = setup.engine else {
            for reason in setup.reasons { logger.error("no sandbox is served", metadata: ["reason": "\(reason)"]) }
            services = [
                Self.server(configuration, setup, [], registry: registry, logger: logger, onListening: onListening)
            ]
            return
        }
        services = try await Self.services(
            configuration, engine,
            server: { checks in
                Self.server(
                    configuration, setup, checks, registry: registry, logger: logger, onListening: onListening)
            },
            registry: registry, logger: logger
        )
    }

    private static func services(
        _ configuration: SandboxExecutorConfiguration, _ engine: Engine,
        server: ([Readiness.Check]) -> EdgeServer, registry: MetricsRegistry, logger: Logger
    ) async throws -> [any Service] {
        let durations = registry.histogram(
            "db_query_duration_seconds", "Time of one statement, by statement.", labels: ["statement"]
        )
        var postgres = configuration.postgres
        postgres.observer = { statement, duration, _ in durations[statement].observe(duration) }
        let pool = PostgresPool(postgres, logger: logger)
        let store = SandboxStore(pool: pool)
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        let redis = configuration.redis.map { RedisConnection($0, logger: logger) }
        let id = "\(KernelFiles.processID).\(String(UInt64.random(in: 0 ... .max), radix: 36))"
        let breakers = BreakerRegistry(
            redis: redis, replica: id, replicas: { 1 }, logger: logger,
            onNews: { bus.tellOfBreaker($0, version: $1) }
        )
        let breaker = try breakers.breaker("sandbox")
        let states = registry.gauge(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open, as this replica acts.", labels: ["name"])
        registry.collect { for status in breakers.statuses { states[status.name].set(status.state.rawValue) } }
        let board = RunBoard(concurrency: configuration.engine.concurrency)
        let publisher = ResultPublisher(
            bus: bus, store: store, retentionHours: configuration.retentionHours, logger: logger)
        let executor = Executor(
            id: id, engine: engine, store: store, bus: bus, board: board, publisher: publisher, breaker: breaker,
            soundAfter: configuration.soundAfter, instruments: ExecutorInstruments(registry), logger: logger
        )
        var services: [any Service] = [
            Running("postgres", run: pool.run, stop: { await pool.shutdown(within: $0) }),
            bus.tracer, Running("nats", run: Running.untilShutdown, stop: { await wire.shutdown(within: $0) }),
        ]
        if let redis { services.append(Running("redis", run: redis.run, stop: { await redis.shutdown(within: $0) })) }
        services.append(Running("topology", run: bus.setUpAndRun))
        services.append(Running("breakers", run: { try await Self.run(breakers, bus) }))
        services += [publisher, executor]
        services.append(RequestIntake(bus: bus, store: store, board: board, publisher: publisher))
        services.append(
            server([
                Readiness.Check("postgres") { try await store.checkSchema() },
                Readiness.Check("nats") { try await bus.checkHealth() },
            ]))
        return services
    }

    private static func run(_ registry: BreakerRegistry, _ bus: MessageBus) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await registry.run() }
            group.addTask { try await bus.hearOfBreakers { registry.heard($0, version: $1) } }
            try await group.waitForAll()
        }
    }

    /// Health, readiness and metrics; the API is the orchestrator's.
    private static func server(
        _ configuration: SandboxExecutorConfiguration, _ setup: EngineSetup, _ checks: [Readiness.Check],
        registry: MetricsRegistry, logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void
    ) -> EdgeServer {
        let http = HTTPServerMetrics(registry)
        let metrics = EdgeMetrics(record: http.record, render: registry.text, checked: http.checked)
        let drain = Drain()
        let sandbox = Readiness.Check("sandbox") {
            guard setup.isServing else {
                throw SandboxError(.refused, setup.reasons.joined(separator: "; "))
            }
        }
        let readiness = Readiness(checks + [sandbox], drain: drain, logger: logger)
        let health = HealthRoutes(
            service: "sandbox-executor", version: Version.current, readiness: readiness, metrics: metrics,
            details: [("sandbox", setup.json)]
        )
        return EdgeServer(
            EdgeServerConfiguration(
                host: configuration.httpHost, port: configuration.httpPort, socket: configuration.handover.socket,
                announce: configuration.handover.announce),
            edge: EdgeConfiguration(verifier: nil, metrics: metrics, drain: drain), table: RouteTable(health.routes),
            readiness: Readiness(checks, drain: drain, logger: logger), logger: logger, onListening: onListening
        )
    }
}
