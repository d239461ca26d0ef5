internal import Bootstrap
internal import Logging
internal import Postgres

/// The database as commands use it that are no service: opened for one piece of work, then closed.
struct MaintenanceDatabase: Sendable {
    let configuration: OrchestratorConfiguration
    private let logger: Logger

    init(_ settings: ServiceConfiguration) throws {
        configuration = try OrchestratorConfiguration(settings)
        logger = LogOutput(descriptor: 2).logger(service: "orchestrator", level: .warning)
    }

    func withPool<Result: Sendable>(
        _ body: @escaping @Sendable (PostgresPool) async throws -> Result
    ) async throws -> Result {
        let pool = PostgresPool(configuration.postgres, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            do {
                let result = try await body(pool)
                await pool.shutdown(within: Running.stopTimeout)
                try await group.waitForAll()
                return result
            } catch {
                await pool.shutdown(within: .zero)
                throw error
            }
        }
    }
}
