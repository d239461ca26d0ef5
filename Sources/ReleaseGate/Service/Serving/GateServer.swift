package import Bootstrap
internal import Contracts
internal import HTTPEdge
package import Logging
internal import ReleaseGateCore
internal import ServiceLifecycle

extension GateSession {
    /// Where and for whom the gate answers.
    package struct ServerSettings: Sendable {
        package let host: String
        package let port: Int
        let handover: Handover
        /// Where Flagger may ask without a token, since it can send none; nil where nobody may.
        let flaggerPort: Int?
        /// Secret.
        let token: String

        /// Keys: `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT` (8086), `GOLDEN_GATE_TOKEN` (secret, at least 16 bytes),
        /// `GOLDEN_GATE_FLAGGER_PORT` (none: a second port for `/flagger/…` alone, without a token; whoever opens it
        /// sees to it that only Flagger reaches it).
        package init(_ settings: ServiceConfiguration) throws {
            host = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
            port = try settings.int("GOLDEN_HTTP_PORT", default: 8086, in: 0...65_535)
            handover = try Handover(settings)
            let hasFlagger = try settings.optionalString("GOLDEN_GATE_FLAGGER_PORT") != nil
            flaggerPort =
                hasFlagger ? try settings.int("GOLDEN_GATE_FLAGGER_PORT", default: 8088, in: 0...65_535) : nil
            token = try settings.secret("GOLDEN_GATE_TOKEN")
            guard token.utf8.count >= 16 else { throw settings.invalid("GOLDEN_GATE_TOKEN", "needs 16 bytes or more") }
        }
    }

    /// How often what dashboards show is worked out again.
    private static let refreshEvery: Duration = .seconds(15)

    /// Answers Flagger, Argo Rollouts and Prometheus until it is told to stop.
    package func serve(
        _ release: ReleaseFile, environment name: String, _ settings: ServerSettings, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) async throws {
        let environment = try Self.environment(name)
        let registry = MetricsRegistry()
        ProcessMetrics.install(in: registry)
        let http = HTTPServerMetrics(registry)
        let shown = GateMetrics(registry)
        shown.show(try await book.entries())
        let metrics = EdgeMetrics(record: http.record, render: registry.text)
        let drain = Drain()
        let book = book
        let readiness = Readiness(
            [Readiness.Check("lineage") { _ = try await book.entries() }], drain: drain, logger: logger)
        let health = HealthRoutes(
            service: "release-gate", version: Bootstrap.Version.current, readiness: readiness, metrics: metrics)
        let judge = GateJudge(session: self, release: release, environment: environment)
        var edge = EdgeConfiguration(verifier: nil, metrics: metrics, drain: drain)
        edge.problem = { error, _ in
            guard let error = error as? GateError else { return nil }
            return Problem(.notReady, error.message, retryAfterSeconds: 30)
        }
        let server = EdgeServer(
            EdgeServerConfiguration(
                host: settings.host, port: settings.port, socket: settings.handover.socket,
                announce: settings.handover.announce),
            edge: edge, table: RouteTable(health.routes + GateRoutes(judge: judge, token: settings.token).routes),
            readiness: readiness, logger: logger, onListening: onListening)
        let refresher = Running("metrics") {
            while true {
                try await Task.sleep(for: Self.refreshEvery)
                do { shown.show(try await book.entries()) } catch let error as GateError {
                    logger.error("lineage unreadable", metadata: ["error": "\(error)"])
                }
            }
        }
        var services: [any Service] = [refresher, server]
        if let port = settings.flaggerPort {
            logger.notice("Flagger is answered without a token", metadata: ["port": "\(port)"])
            services.append(
                EdgeServer(
                    EdgeServerConfiguration(host: settings.host, port: port), edge: edge,
                    table: RouteTable(GateRoutes(judge: judge, token: nil).flagger), logger: logger))
        }
        try await runServices(services, logger: logger)
    }
}
