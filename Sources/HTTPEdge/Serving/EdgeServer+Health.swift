package import Logging

extension EdgeServer {
    /// A server of health, readiness and metrics alone, for services whose API is the orchestrator's.
    ///
    /// - Parameter checks: what must hold for the service to be ready.
    package static func health(
        of service: String, version: String, _ configuration: EdgeServerConfiguration, checks: [Readiness.Check],
        metrics: EdgeMetrics, logger: Logger, onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) -> EdgeServer {
        let drain = Drain()
        let readiness = Readiness(checks, drain: drain, logger: logger)
        let health = HealthRoutes(service: service, version: version, readiness: readiness, metrics: metrics)
        return EdgeServer(
            configuration, edge: EdgeConfiguration(verifier: nil, metrics: metrics, drain: drain),
            table: RouteTable(health.routes), readiness: readiness, logger: logger, onListening: onListening
        )
    }
}
