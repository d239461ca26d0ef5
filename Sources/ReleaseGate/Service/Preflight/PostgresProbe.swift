internal import Foundation
internal import Logging
internal import Postgres
internal import ReleaseGateCore
internal import Storage

/// Asks the services' database what it is and what their user may do there.
struct PostgresProbe {
    /// The gate's own patience with a database that is away.
    private static let patience = Duration.seconds(5)

    let url: String
    let migrations: String?
    let logger: Logger

    func ask() async -> PreflightFacts.Probe<PreflightFacts.Postgres> {
        do {
            var facts = try await withPool(url) { pool in try await self.facts(pool) }
            facts.isVerified = ["sslmode=verify-full", "sslmode=verify-ca"].contains { url.contains($0) }
            facts.asksForPassword = await asksForPassword()
            return .answered(facts)
        } catch {
            return .unreachable("Postgres did not answer: \(error)")
        }
    }

    private func facts(_ pool: PostgresPool) async throws -> PreflightFacts.Postgres {
        let store = ServerFactsStore(pool: pool)
        let server = try await store.server()
        var facts = PreflightFacts.Postgres()
        facts.version = server.version
        facts.tls = server.tls
        facts.user = server.user
        facts.powers = [
            (server.isSuperuser, "superuser"), (server.mayCreateDatabases, "createdb"),
            (server.mayCreateRoles, "createrole"), (server.mayReplicate, "replication"),
            (server.bypassesRowSecurity, "bypassrls"),
        ].filter(\.0).map(\.1)
        facts.isReplica = server.isReplica
        facts.connectionsMax = server.connectionsMax
        facts.connectionsReserved = server.connectionsReserved
        facts.synchronousCommit = server.synchronousCommit
        facts.slowQueryMilliseconds = server.slowQueryMilliseconds
        facts.appendOnly = try await store.appendOnly().map { table in
            PreflightFacts.Postgres.AppendOnlyTable(
                name: table.table, exists: table.exists, isGranted: table.isGranted, isGuarded: table.isGuarded)
        }
        facts.migrations = try await migrations(pool)
        return facts
    }

    private func migrations(_ pool: PostgresPool) async throws -> PreflightFacts.Postgres.Migrations {
        guard let migrations else { return .init(applied: 0, pending: [], strange: ["GOLDEN_MIGRATIONS is not set"]) }
        var (applied, pending, strange) = (0, [String](), [String]())
        for status in try await Migrator(pool: pool, folder: migrations).status() {
            let name = "\(status.version) \(status.name)"
            switch status.state {
            case .applied: applied += 1
            case .pending: pending.append(name)
            case .changed: strange.append("\(name) (its file was changed)")
            case .unknown: strange.append("\(name) (of a newer release)")
            }
        }
        return .init(applied: applied, pending: pending, strange: strange)
    }

    /// Tries a password that nobody has. A server that trusts whoever connects takes any.
    private func asksForPassword() async -> Bool? {
        guard let other = StoreURL(url).with(password: UUID().uuidString) else { return nil }
        do {
            _ = try await withPool(other) { pool in try await ServerFactsStore(pool: pool).server() }
            return false
        } catch let error as PostgresError where error.code == .authenticationFailed {
            return true
        } catch {
            return nil
        }
    }

    private func withPool<Result: Sendable>(
        _ url: String, _ body: @Sendable @escaping (PostgresPool) async throws -> Result
    ) async throws -> Result {
        var configuration = PostgresConfiguration(connectionString: url, applicationName: "release-gate preflight")
        configuration.maxConnections = 1
        configuration.acquireTimeout = Self.patience
        return try await PostgresPool(configuration, logger: logger).serving(within: .zero, body)
    }
}
