internal import Bootstrap
internal import Contracts
internal import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
package import ServiceLifecycle

/// Puts an agent together: it leases work of its roles, has a back end do it, and reports.
package struct AgentWorker: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]

    /// Added to the drain time for killing programs and closing the connection.
    package static let shutdownMargin: Duration = .seconds(10)

    /// Connects, and checks that the program of the command back end can be run.
    package init(_ configuration: AgentWorkerConfiguration, logger: Logger) async throws {
        var backend: any Backend = EchoBackend()
        if case .command(let settings) = configuration.backend {
            backend = try await CommandBackend(settings, logger: logger)
        }
        let wire = try await NATSConnection.connect(configuration.nats, logger: logger)
        var streams = BusConfiguration(ownsStreams: false)
        streams.tracer = configuration.tracer
        let bus = MessageBus(connection: wire, configuration: streams, logger: logger)
        var services: [any Service] = [bus.tracer, Wire(wire)]
        let health = AgentHealth(configuration)
        if case .openai(let settings) = configuration.backend {
            let client = ModelClient(settings, slots: configuration.slots)
            let sentry = try ModelGuard(client, agent: configuration.agent.text, bus: bus, logger: logger)
            backend = ModelBackend(client: client, breaker: sentry.breaker, intake: sentry.intake, logger: logger)
            services.append(sentry)
            health.show(breakers: { sentry.statuses })
        }
        let runner = WorkRunner(configuration, bus: bus, backend: backend, health: health, logger: logger)
        health.show(inHand: { runner.tasks.count })
        services += [runner, Announcer(configuration, bus: bus, tasks: { runner.tasks }, logger: logger)]
        if let server = health.server(configuration, bus: bus, logger: logger) { services.append(server) }
        self.services = services
    }
}

/// The connection as a service: closed after everything that uses it has ended.
private final class Wire: Service {
    /// For the last acknowledgements.
    private static let closeTimeout: Duration = .seconds(5)

    private let connection: NATSConnection

    init(_ connection: NATSConnection) {
        self.connection = connection
    }

    func run() async throws {
        do {
            try await gracefulShutdown()
        } catch is CancellationError {
            // Closed all the same.
        }
        await connection.shutdown(within: Self.closeTimeout)
    }
}
