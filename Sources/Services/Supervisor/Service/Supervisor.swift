internal import Bootstrap
internal import Contracts
internal import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
internal import Postgres
package import ServiceLifecycle
internal import Storage
internal import SupervisorCore

/// Puts a supervisor together: it judges escalations, asks analysts, calls humans, and proposes what was learned.
///
/// Works on the tables of escalations and patterns, and proposes prompts through governance. Hears
/// `supervisor.escalation` and `supervisor.analysis.<escalation>`; says `supervisor.resolution.<task>`,
/// `work.supervisor` and `alerts.<severity>`. It keeps nothing: any replica takes any message.
package struct Supervisor: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]

    package init(
        _ configuration: SupervisorConfiguration, logger: Logger,
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
        let store = SupervisionStore(pool: pool, times: configuration.times)
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        let instruments = SupervisorInstruments(registry)
        let herald = Herald(bus: bus, store: store, prompts: GovernanceStore(pool: pool), logger: logger)
        let intake = EscalationIntake(
            bus: bus, store: store, rules: SupervisorRules(automaticMax: configuration.automaticMax), herald: herald,
            instruments: instruments, logger: logger
        )
        services = [
            Running("postgres", run: pool.run, stop: { await pool.shutdown(within: $0) }),
            bus.tracer, Running("nats", run: Running.untilShutdown, stop: { await wire.shutdown(within: $0) }),
            Running("topology", run: bus.setUpAndRun), herald, intake,
            AnalysisIntake(bus: bus, store: store, herald: herald, instruments: instruments, logger: logger),
            Sweeper(
                store: store, patterns: PatternStore(pool: pool), intake: intake, herald: herald,
                instruments: instruments, logger: logger
            ),
            Self.server(
                configuration, bus: bus, store: store, registry: registry, logger: logger, onListening: onListening),
        ]
    }

    /// Health, readiness and metrics; the API is the orchestrator's.
    private static func server(
        _ configuration: SupervisorConfiguration, bus: MessageBus, store: SupervisionStore, registry: MetricsRegistry,
        logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void
    ) -> EdgeServer {
        let http = HTTPServerMetrics(registry)
        return EdgeServer.health(
            of: "supervisor", version: Version.current,
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
