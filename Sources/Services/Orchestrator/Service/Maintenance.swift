package import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import Postgres
internal import Storage

/// What is done before and between runs of the service: the schema, and the bus's streams.
package struct Maintenance: Sendable {
    private let configuration: OrchestratorConfiguration
    private let logger: Logger

    package init(_ settings: ServiceConfiguration) throws {
        configuration = try OrchestratorConfiguration(settings)
        logger = LogOutput(descriptor: 2).logger(service: "orchestrator", level: .warning)
    }

    /// Applies what is missing, up to version `target`, and prints each.
    package func migrateUp(to target: Int?, json: Bool) async throws {
        try await withMigrator { migrator in
            let applied = try await migrator.up(to: target)
            Self.show(applied, done: "applied", nothing: "The schema is up to date.", json: json)
        }
    }

    /// Takes back the newest `steps` migrations and prints each.
    package func migrateDown(steps: Int, json: Bool) async throws {
        try await withMigrator { migrator in
            let undone = try await migrator.down(steps: steps)
            Self.show(undone, done: "taken back", nothing: "There is nothing to take back.", json: json)
        }
    }

    /// Prints every migration; true when all are applied.
    package func migrationStatus(json: Bool) async throws -> Bool {
        try await withMigrator { migrator in
            let all = try await migrator.status()
            for status in all { Self.show(status, state: "\(status.state)", json: json) }
            return all.allSatisfy(\.isApplied)
        }
    }

    private func withMigrator<Result: Sendable>(
        _ body: @escaping @Sendable (Migrator) async throws -> Result
    ) async throws -> Result {
        let pool = PostgresPool(configuration.postgres, logger: logger)
        let migrator = Migrator(pool: pool, folder: configuration.migrations)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let result = try await body(migrator)
            await pool.shutdown(within: Running.stopTimeout)
            group.cancelAll()
            return result
        }
    }

    private static func show(_ changed: [MigrationStatus], done: String, nothing: String, json: Bool) {
        for status in changed { show(status, state: done, json: json) }
        if changed.isEmpty, !json { print(nothing) }
    }

    private static func show(_ status: MigrationStatus, state: String, json: Bool) {
        if json {
            print(
                JSONWriter.object {
                    $0.field("version", status.version)
                    $0.field("name", status.name)
                    $0.field("state", state)
                }.text
            )
        } else {
            print("\(status.name)  \(state)")
        }
    }

    /// Creates and updates streams and consumers and prints each change.
    package func setUpJetStream(json: Bool) async throws {
        try await withBus { bus in
            let changes = try await bus.setUp()
            for change in changes { Self.show(change, json: json) }
            if changes.isEmpty, !json { print("Streams and consumers are as declared.") }
        }
    }

    /// Prints how streams and consumers differ from what is declared; true when they do not.
    ///
    /// - Parameter taken: also, that somebody takes from each consumer.
    package func jetStreamStatus(json: Bool, taken: Bool = false) async throws -> Bool {
        try await withBus { bus in
            let changes = try await bus.plan()
            for change in changes { Self.show(change, json: json) }
            if changes.isEmpty, !json { print("Streams and consumers are as declared.") }
            guard taken else { return changes.isEmpty }
            let untaken = try await bus.untaken()
            for consumer in untaken {
                let line = JSONWriter.object { $0.field("untaken", consumer) }.text
                print(json ? line : "Nobody takes from \(consumer).")
            }
            if untaken.isEmpty, !json { print("Every consumer is taken from.") }
            return changes.isEmpty && untaken.isEmpty
        }
    }

    private func withBus<Result: Sendable>(_ body: (MessageBus) async throws -> Result) async throws -> Result {
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        do {
            let result = try await body(bus)
            await wire.shutdown(within: Running.stopTimeout)
            return result
        } catch {
            await wire.shutdown(within: Running.stopTimeout)
            throw error
        }
    }

    private static func show(_ change: TopologyChange, json: Bool) {
        guard json else { return print(change.description) }
        print(
            JSONWriter.object { writer in
                writer.field("change", change.kind.rawValue)
                writer.field("object", change.object)
                writer.field("differences", change.differences.map(\.description))
            }.text
        )
    }
}
