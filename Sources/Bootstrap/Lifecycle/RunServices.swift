package import Logging
package import ServiceLifecycle
internal import UnixSignals

/// Runs services until one of them ends or the process gets SIGTERM or SIGINT.
///
/// They are shut down in reverse order, each before the one listed ahead of it: list what others depend on first, the
/// HTTP server last. What has not ended within `drainTimeout` is cancelled; what ignores even that for
/// `cancellationTimeout` ends with the process.
/// - Throws: what a service threw.
package func runServices(
    _ services: [any Service], logger: Logger, drainTimeout: Duration = .seconds(30),
    cancellationTimeout: Duration = .seconds(10)
) async throws {
    var configuration = ServiceGroupConfiguration(
        services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    )
    configuration.maximumGracefulShutdownDuration = drainTimeout
    configuration.maximumCancellationDuration = cancellationTimeout
    try await ServiceGroup(configuration: configuration).run()
}
