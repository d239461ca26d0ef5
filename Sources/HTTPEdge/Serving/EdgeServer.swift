internal import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import ServiceLifecycle

/// Where a server listens and what a connection may cost.
package struct EdgeServerConfiguration: Sendable {
    package var host: String
    /// 0 takes any free port.
    package var port: Int
    package var connectionsMax = 10_000
    package var backlog = 1024
    /// A connection without a request, or with an unfinished head, is closed after this.
    package var idleTimeout: Duration = .seconds(60)
    /// From a request's head to its last byte.
    package var requestTimeout: Duration = .seconds(30)
    /// A client that reads nothing of its answer for this long is cut off.
    package var writeTimeout: Duration = .seconds(30)
    /// Requests that are being answered when the shutdown begins may take this long.
    package var drainTimeout: Duration = .seconds(20)

    package init(host: String = "127.0.0.1", port: Int = 8080) {
        self.host = host
        self.port = port
    }
}

/// One HTTP server as a service: on graceful shutdown it becomes unready, accepts nothing more, ends its event
/// streams, lets requests finish within the drain timeout, and closes what is left.
package struct EdgeServer: Service {
    private let application: Application<EdgeResponder>
    private let drain: Drain
    private let drainTimeout: Duration
    private let logger: Logger

    /// - Parameter onListening: called once with the port it listens on.
    package init(
        _ configuration: EdgeServerConfiguration, edge: EdgeConfiguration, table: RouteTable, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        Self.shareCores
        drain = edge.drain
        drainTimeout = configuration.drainTimeout
        self.logger = logger
        var http = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                ConnectionGuard(
                    requestTimeout: TimeAmount(configuration.requestTimeout),
                    writeTimeout: TimeAmount(configuration.writeTimeout)
                ),
                UnreadableRequests(),
            ],
            idleTimeout: TimeAmount(configuration.idleTimeout)
        )
        // Beyond these the parser itself gives up; below them `HeadLimits` answers with a problem.
        http.httpDecoder.maxHeaderListSize = 4 * edge.limits.headersBytesMax
        http.httpDecoder.maxHeaderFieldSize = 4 * edge.limits.headersBytesMax
        http.httpDecoder.maxHeaderFieldCount = 4 * edge.limits.headersMax
        // The framework's own lines say what ours say; its warnings are wanted.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        application = Application(
            responder: EdgeResponder(edge, table: table, logger: logger),
            server: .http1(configuration: http),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: configuration.backlog,
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.connectionsMax, logger: quiet)
            ),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? configuration.port
                logger.info("Listening", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
                onListening(port)
            },
            logger: quiet
        )
    }

    /// Reading and writing sockets takes less than answering, which runs on the concurrency pool with a thread a core:
    /// on half as many event loops it meets fewer switches. Takes effect only before the shared loops' first use.
    package static let shareCores: Void = {
        NIOSingletons.groupLoopCountSuggestion = max(1, System.coreCount / 2)
    }()

    package func run() async throws {
        var configuration = ServiceGroupConfiguration(services: [application], logger: logger)
        configuration.maximumGracefulShutdownDuration = drainTimeout
        let group = ServiceGroup(configuration: configuration)
        try await withGracefulShutdownHandler {
            try await group.run()
        } onGracefulShutdown: {
            drain.begin()
        }
    }
}
