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

/// The whole of a service's process: reads its settings, logs to standard output, and runs what `services` puts
/// together.
///
/// - Parameters:
///   - name: in logs.
///   - services: called once; tells the port it listens on when it does.
package func runService(
    _ name: String,
    _ services: (
        _ settings: ServiceConfiguration, _ logger: Logger, _ onListening: @escaping @Sendable (_ port: Int) -> Void
    ) async throws -> [any Service]
) async throws {
    let settings = ServiceConfiguration()
    let level = try settings.logLevel()
    let output = LogOutput.standard()
    output.adoptLibraries(service: name, level: max(level, .warning))
    let logger = output.logger(service: name, level: level)
    let services = try await services(settings, logger) { port in
        logger.info("listening", metadata: ["port": "\(port)", "version": "\(Version.current)"])
    }
    for key in settings.unread { logger.debug("a setting that nothing reads", metadata: ["key": "\(key)"]) }
    try await runServices(services, logger: logger)
}
