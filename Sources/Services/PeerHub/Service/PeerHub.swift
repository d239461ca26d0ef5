internal import Bootstrap
internal import Contracts
internal import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
internal import PeerHubCore
internal import Postgres
package import ServiceLifecycle
internal import Storage

/// Puts a peer hub together: it opens review sessions, counts votes and says what was decided.
///
/// Owns the tables of sessions and votes. Hears `prc.<session>.request`, `prc.<session>.response` and
/// `prc.<session>.cancel`; says `work.<role>`, `prc.<session>.decision` and `control.cancel.<work>`. It keeps nothing:
/// any replica takes any message.
package struct PeerHub: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]

    package init(
        _ configuration: PeerHubConfiguration, logger: Logger,
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
        let store = ReviewStore(pool: pool) { session, votes, atDeadline in
            Tally(session.terms, votes).outcome(atDeadline: atDeadline)
        }
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        let instruments = HubInstruments(registry)
        let decisions = DecisionPublisher(bus: bus, store: store, instruments: instruments, logger: logger)
        let handout = WorkHandout(
            bus: bus, store: store, prompts: ReviewerPrompts(store: GovernanceStore(pool: pool)), logger: logger)
        let vacancies = SeatVacancies(handout: handout, instruments: instruments, logger: logger)
        services = [
            Running(
                "postgres", run: pool.run,
                stop: { limit in
                    await store.shutdown()
                    await pool.shutdown(within: limit)
                }),
            bus.tracer, Running("nats", run: Running.untilShutdown, stop: { await wire.shutdown(within: $0) }),
            Running("topology", run: bus.setUpAndRun), decisions,
            RequestIntake(bus: bus, store: store, handout: handout, instruments: instruments, logger: logger),
            CancellationIntake(bus: bus, store: store, instruments: instruments, logger: logger),
            ResponseIntake(
                bus: bus, store: store, decisions: decisions, vacancies: vacancies, instruments: instruments,
                logger: logger),
            SeatSweep(bus: bus, store: store, handout: handout, instruments: instruments, logger: logger),
            Self.server(
                configuration, bus: bus, store: store, registry: registry, logger: logger, onListening: onListening),
        ]
    }

    /// Health, readiness and metrics; the API is the orchestrator's.
    private static func server(
        _ configuration: PeerHubConfiguration, bus: MessageBus, store: ReviewStore, registry: MetricsRegistry,
        logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void
    ) -> EdgeServer {
        let http = HTTPServerMetrics(registry)
        return EdgeServer.health(
            of: "peer-hub", version: Version.current,
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
