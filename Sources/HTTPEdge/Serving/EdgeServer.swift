internal import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOPosix
internal import ServiceLifecycle

/// Where a server listens and what a connection may cost.
package struct EdgeServerConfiguration: Sendable {
    package var host: String
    /// 0 takes any free port.
    package var port: Int
    package var connectionsMax = 10_000
    package var backlog: Int32 = 1024
    /// A connection without a request, or with an unfinished head, is closed after this.
    package var idleTimeout: Duration = .seconds(60)
    /// From a request's head to its last byte.
    package var requestTimeout: Duration = .seconds(30)
    /// A client that reads nothing of its answer for this long is cut off.
    package var writeTimeout: Duration = .seconds(30)
    /// Requests that are being answered when the shutdown begins may take this long.
    package var drainTimeout: Duration = .seconds(20)
    /// When the shutdown begins, connections without a request stay open this long: what a client was just about to ask
    /// is answered, with `Connection: close`, and not cut off.
    package var idleGrace: Duration = .seconds(1)
    /// A socket that listens already, in place of host and port. Others may listen on it too, and go on doing so.
    package var socket: Int32?
    /// Set when this server follows another on the same socket: it serves once it is ready, and then says so here.
    package var announce: (@Sendable () throws -> Void)?

    package init(
        host: String = "127.0.0.1", port: Int = 8080, socket: Int32? = nil,
        announce: (@Sendable () throws -> Void)? = nil
    ) {
        self.host = host
        self.port = port
        self.socket = socket
        self.announce = announce
    }
}

/// One HTTP server as a service: on graceful shutdown it becomes unready, accepts nothing more, ends its event
/// streams, lets requests finish within the drain timeout, and closes what is left.
package struct EdgeServer: Service {
    private typealias Connection = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    private typealias Listener = NIOAsyncChannel<Connection, Never>

    /// How often a server that follows another asks whether it is ready.
    private static let readinessPoll: Duration = .milliseconds(100)
    /// How long a server that follows another leaves it to accept, once it has said that it could. Two that wait at one
    /// socket are both woken for each connection, and a debug build of NIO takes finding none for a mistake and traps.
    #if DEBUG
        private static let overlap: Duration = .milliseconds(500)
    #else
        private static let overlap: Duration = .zero
    #endif

    private let configuration: EdgeServerConfiguration
    private let http: HTTP1Channel
    private let connections = OpenConnections()
    private let drain: Drain
    private let readiness: Readiness?
    private let logger: Logger
    private let onListening: @Sendable (_ port: Int) -> Void

    /// - Parameters:
    ///   - readiness: what must hold before a server follows another; see `EdgeServerConfiguration.announce`.
    ///   - onListening: called once with the port it listens on.
    package init(
        _ configuration: EdgeServerConfiguration, edge: EdgeConfiguration, table: RouteTable,
        readiness: Readiness? = nil, logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        Self.shareCores
        self.configuration = configuration
        self.readiness = readiness
        self.onListening = onListening
        self.logger = logger
        drain = edge.drain
        http = Self.http(
            configuration, edge, EdgeResponder(edge, table: table, logger: logger), logger: Self.quiet(logger))
    }

    /// Reading and writing sockets takes less than answering, which runs on the concurrency pool with a thread a core:
    /// on half as many event loops it meets fewer switches. Takes effect only before the shared loops' first use.
    package static let shareCores: Void = {
        NIOSingletons.groupLoopCountSuggestion = max(1, System.coreCount / 2)
    }()

    private static let loops = MultiThreadedEventLoopGroup.singleton

    package func run() async throws {
        guard try await waitForTurn() else { return }
        let listener = try await listen()
        let port = listener.channel.localAddress?.port ?? configuration.port
        logger.info("Listening", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
        onListening(port)
        try configuration.announce?()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await serve(listener) }
            group.addTask { await end(listener) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Nothing is accepted that could not be answered, as long as somebody else accepts it.
    /// - Returns: false when it was told to stop before its turn came.
    private func waitForTurn() async throws -> Bool {
        guard configuration.announce != nil, let readiness else { return true }
        do {
            try await cancelWhenGracefulShutdown {
                while await !readiness.report().isReady { try await Task.sleep(for: Self.readinessPoll) }
            }
            return !Task.isShuttingDownGracefully
        } catch is CancellationError {
            return false
        }
    }

    /// A server that follows another accepts from now on; `listen` left that to the other.
    private func takeOver(_ channel: any Channel) async throws {
        guard configuration.announce != nil else { return }
        try await Task.sleep(for: Self.overlap)
        try await channel.setOption(ChannelOptions.autoRead, value: true).get()
    }

    private func listen() async throws -> Listener {
        let limit = MaximumAvailableConnections(configuration.connectionsMax, logger: Self.quiet(logger))
        let bootstrap = ServerBootstrap(group: Self.loops)
            .serverChannelOption(ChannelOptions.backlog, value: configuration.backlog)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(ChannelOptions.autoRead, value: configuration.announce == nil)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Intake())
                    try channel.pipeline.syncOperations.addHandler(AvailableConnectionsChannelHandler(delegate: limit))
                }
            }
        if let socket = configuration.socket { return try await bootstrap.bind(socket, childChannelInitializer: setUp) }
        return try await bootstrap.bind(
            host: configuration.host, port: configuration.port, childChannelInitializer: setUp)
    }

    @Sendable private func setUp(_ channel: any Channel) -> EventLoopFuture<Connection> {
        connections.add(channel)
        return http.setup(channel: channel, logger: Self.quiet(logger))
    }

    /// Returns when the listener is closed and every connection with it.
    private func serve(_ listener: Listener) async {
        let quiet = Self.quiet(logger)
        await withDiscardingTaskGroup { group in
            do {
                try await listener.executeThenClose { connections in
                    try await takeOver(listener.channel)
                    for try await connection in connections {
                        group.addTask { await http.handle(value: connection, logger: quiet) }
                    }
                }
            } catch {
                logger.error("The server stopped accepting", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Waits for the shutdown and carries it out; returns when time is up, or when all is done and it is cancelled.
    private func end(_ listener: Listener) async {
        do {
            try await gracefulShutdown()
            drain.begin()
            try await stopAccepting(listener.channel)
            let grace = min(configuration.idleGrace, configuration.drainTimeout)
            try await Task.sleep(for: grace)
            connections.end()
            try await Task.sleep(for: configuration.drainTimeout - grace)
        } catch is CancellationError {
            return
        } catch {
            logger.error("The server could not be shut down in order", metadata: ["error": "\(error)"])
        }
    }

    /// Connections that were taken from the kernel's queue are served; those still in it are left there.
    private func stopAccepting(_ channel: any Channel) async throws {
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: Intake.self).close()
        }.get()
        try await channel.setOption(ChannelOptions.autoRead, value: false).get()
        // A connection is set up in hops between its loop and the listener's, and dropped when the listener is closed
        // before the last.
        for _ in 0..<3 {
            for loop in Self.loops.makeIterator() { try await loop.submit {}.get() }
            try await channel.eventLoop.submit {}.get()
        }
        try await channel.close()
    }
}

extension EdgeServer {
    /// An answer that broke off in the middle; nothing can be said about it any more.
    private struct AnswerCutOff: Error {}

    private static func http(
        _ configuration: EdgeServerConfiguration, _ edge: EdgeConfiguration, _ responder: EdgeResponder, logger: Logger
    ) -> HTTP1Channel {
        var http = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                ConnectionGuard(
                    requestTimeout: TimeAmount(configuration.requestTimeout),
                    writeTimeout: TimeAmount(configuration.writeTimeout), drain: edge.drain
                ),
                UnreadableRequests(),
            ],
            idleTimeout: TimeAmount(configuration.idleTimeout)
        )
        // Beyond these the parser itself gives up; below them `HeadLimits` answers with a problem.
        http.httpDecoder.maxHeaderListSize = 4 * edge.limits.headersBytesMax
        http.httpDecoder.maxHeaderFieldSize = 4 * edge.limits.headersBytesMax
        http.httpDecoder.maxHeaderFieldCount = 4 * edge.limits.headersMax
        let date = ResponseDate()
        return HTTP1Channel(
            responder: { request, writer, channel in
                let source = ApplicationRequestContextSource(channel: channel, logger: logger)
                var response = try await responder.respond(to: request, context: EdgeRequestContext(source: source))
                response.headers[.date] = date.now
                do {
                    try await writer.write(response: response.head, body: response.body)
                } catch is HTTPParserError {
                    // Thrown as it is, the connection would answer it once more.
                    throw AnswerCutOff()
                }
            }, configuration: http
        )
    }

    /// The framework's own lines say what ours say; its warnings are wanted.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}
