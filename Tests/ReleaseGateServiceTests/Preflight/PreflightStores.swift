import Bootstrap
import Foundation
import Logging
import MessageBus
import NATS
import Postgres
import Redis
import ReleaseGateCore
import ReleaseGateService
import Storage
import TestSupport

/// Real stores as an installation has them, and what a preflight says of them.
struct PreflightStores: Sendable {
    static let logger = Logger(label: "preflight") { _ in SwiftLogNoOpLogHandler() }
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        .standardizedFileURL
    static let password = "8d2f6a90c41e7b35"

    var targets = PreflightTargets()

    init() { targets.migrations = Self.root.appending(path: "migrations").path }

    func report(_ environment: DeployEnvironment = .staging) async throws -> PreflightReport {
        try await Preflight(targets: targets, logger: Self.logger).report(environment)
    }

    /// The worst verdict of each check.
    func verdicts(
        _ environment: DeployEnvironment = .staging
    ) async throws -> [PreflightFinding.Check: PreflightFinding.Verdict] {
        let order: [PreflightFinding.Verdict] = [.ok, .warning, .unknown, .failed]
        let findings = try await report(environment).findings
        return Dictionary(findings.map { ($0.check, $0.verdict) }) { one, other in
            order.firstIndex(of: one) ?? 0 > order.firstIndex(of: other) ?? 0 ? one : other
        }
    }

    /// A database with all migrations, owned by a user without powers.
    static func migrated(_ postgres: TestPostgres, _ more: String = "") async throws -> String {
        let user = "svc_\(UUID().uuidString.prefix(8).lowercased())"
        try await postgres.sql("CREATE ROLE \(user) LOGIN PASSWORD '\(password)'")
        try await postgres.sql("CREATE DATABASE \(user) OWNER \(user) TEMPLATE template0")
        let url = "postgresql://\(user):\(password)@127.0.0.1:\(postgres.port)/\(user)\(more)"
        var configuration = PostgresConfiguration(connectionString: url, applicationName: "test")
        configuration.maxConnections = 1
        let pool = PostgresPool(configuration, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            _ = try await Migrator(pool: pool, folder: root.appending(path: "migrations").path).up()
            await pool.shutdown(within: .seconds(5))
            try await group.waitForAll()
        }
        return url
    }

    /// Settings of a running server, as whoever has the password may change them.
    static func configure(_ redis: TestRedis, _ settings: [(String, String)]) async throws {
        let connection = RedisConnection(
            RedisConfiguration(port: redis.port, password: TestRedis.password, commandTimeout: .seconds(5)),
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connection.run() }
            try await connection.waitUntilConnected(within: .seconds(10))
            for (name, value) in settings {
                _ = try await connection.command(["CONFIG", "SET", .text(name), .text(value)])
            }
            await connection.shutdown(within: .seconds(1))
            try await group.waitForAll()
        }
    }

    static func bus(_ nats: TestNATS, login: Bool) -> BusSettings {
        BusSettings(
            connection: NATSConfiguration(
                servers: [nats.url], name: "test",
                credentials: login ? .userPassword(user: "golden", password: password) : .none))
    }

    /// Runs something on a bus.
    static func withBus(
        _ settings: BusSettings, _ body: (NATSConnection, MessageBus) async throws -> Void
    ) async throws {
        let connection = try await NATSConnection.connect(settings.connection, logger: logger)
        let bus = MessageBus(connection: connection, configuration: settings.streams, logger: logger)
        try await body(connection, bus)
        await connection.shutdown(within: .seconds(1))
    }
}
