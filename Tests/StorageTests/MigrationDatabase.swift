import Foundation
import Logging
import Postgres
import Storage
import TestSupport

let quietMigrationLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A database of one test, and psql to look at it behind the driver's back.
struct MigrationDatabase: Sendable {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL
    /// The project's own migrations.
    static let folder = root.appending(path: "migrations").path
    static let files = [
        "001_initial_schema.sql", "002_peer_review.sql", "003_learning_governance.sql", "004_accounts.sql",
        "005_task_budgets.sql", "006_webhooks.sql", "007_rate_limits.sql",
        "008_prompt_versions.sql", "009_review_decisions.sql", "010_workflow_stages.sql",
        "011_review_stages.sql", "012_supervisor.sql", "013_limits_and_revocations.sql", "014_dead_letters.sql",
        "015_sandbox.sql", "016_review_offers.sql", "017_release_lineage.sql",
        "018_settled_letters.sql", "019_refused_prompts.sql", "020_lost_executions.sql",
        "021_reported_usage.sql",
    ]

    /// 1, 2, 3, …
    static let versions = Array(1...files.count)

    let server: TestPostgres
    let name: String

    /// Made once, copied for each test.
    private static let template = Task {
        let database = try await empty()
        for file in files { try await database.run(file: file).check() }
        return database
    }

    /// A database with nothing in it.
    static func empty() async throws -> MigrationDatabase {
        let server = try await TestPostgres.shared()
        return MigrationDatabase(server: server, name: try await server.freshDatabase())
    }

    /// A database on which psql has run every migration.
    static func migrated() async throws -> MigrationDatabase {
        let template = try await template.value
        let name = try await template.server.freshDatabase(template: template.name)
        return MigrationDatabase(server: template.server, name: name)
    }

    /// Takes the migrations back that came later than `file`, the last first.
    func takeBack(after file: String) async throws {
        for later in Self.files.reversed().prefix(while: { $0 != file }) {
            try await run(file: "down/\(later)").check()
        }
    }

    var configuration: PostgresConfiguration {
        var configuration = PostgresConfiguration(
            connectionString: server.connectionString(database: name), applicationName: "storage-tests"
        )
        configuration.maxConnections = 2
        configuration.acquireTimeout = .seconds(30)
        return configuration
    }

    /// Runs a pool while `body` runs.
    ///
    /// - Parameter changed: the pool's configuration, where the test needs another than `configuration`.
    func withPool<R: Sendable>(
        with changed: PostgresConfiguration? = nil, _ body: (PostgresPool) async throws -> R
    ) async throws -> R {
        let pool = PostgresPool(changed ?? configuration, logger: quietMigrationLogger)
        async let running: Void = pool.run()
        do {
            let value = try await body(pool)
            await pool.shutdown(within: .seconds(5))
            try await running
            return value
        } catch {
            await pool.shutdown(within: .zero)
            throw error
        }
    }

    /// A migrator over `folder`, with a pool of its own.
    func withMigrator<R: Sendable>(
        _ folder: String = folder, _ body: (Migrator) async throws -> R
    ) async throws -> R {
        try await withPool { try await body(Migrator(pool: $0, folder: folder)) }
    }

    /// Runs statements; answers their rows, columns parted by "|". Throws when one is refused.
    @discardableResult
    func sql(_ text: String) async throws -> String {
        try await outcome(text).check()
    }

    /// Runs statements that must be refused; answers what psql prints: SQLSTATE, message, name of the constraint.
    func refusal(_ text: String) async throws -> String {
        let run = try await outcome(text)
        guard run.status != 0 else { return "It was not refused: \(text)" }
        return run.output
    }

    /// Runs statements that may be refused.
    func outcome(_ text: String) async throws -> PsqlRun {
        try await blocking { try psql(["-c", text]) }
    }

    /// Runs a file as an operator would.
    ///
    /// - Parameter options: settings of the session, as PGOPTIONS has them.
    func run(file: String, options: String = "") async throws -> PsqlRun {
        try await blocking { try psql(["-f", "\(Self.folder)/\(file)"], options: options) }
    }

    /// Starts statements and waits for nothing; they end with their server at the latest.
    func start(_ text: String) throws -> Process {
        let process = process(["-c", text])
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try Spawner.shared.start(process)
        return process
    }

    private func psql(_ arguments: [String], options: String = "") throws -> PsqlRun {
        let process = process(arguments, options: options)
        let text = try Spawner.shared.output(of: process)
        return PsqlRun(status: process.terminationStatus, output: text.trimmingCharacters(in: .newlines))
    }

    private func process(_ arguments: [String], options: String = "") -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", name] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging([
            "PGHOST": "127.0.0.1", "PGPORT": "\(server.port)", "PGUSER": server.user, "PGPASSWORD": server.password,
            "PGOPTIONS": options, "PGCONNECT_TIMEOUT": "30",
        ]) { $1 }
        return process
    }
}

/// Waits for what another session does, for at most thirty seconds.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return false
}

struct PsqlRun: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let status: Int32
    /// What it printed, on both streams.
    let output: String

    @discardableResult
    func check() throws -> String {
        guard status == 0 else { throw Failure(description: output) }
        return output
    }
}

/// A folder of migrations that a test may change, removed with it.
final class MigrationCopy: Sendable {
    let folder: URL

    /// - Parameter files: those of the project's own migrations to copy; the first three, so that tests add a fourth.
    init(_ files: [String] = Array(MigrationDatabase.files.prefix(3))) throws {
        folder = try temporaryFolder("migrations")
        let manager = FileManager.default
        try manager.createDirectory(at: folder.appending(path: "down"), withIntermediateDirectories: true)
        for file in files.flatMap({ [$0, "down/\($0)"] }) {
            try manager.copyItem(
                at: URL(filePath: MigrationDatabase.folder).appending(path: file), to: folder.appending(path: file)
            )
        }
    }

    deinit {
        // A folder that stays behind below the temporary one harms no later test.
        try? FileManager.default.removeItem(at: folder)
    }

    var path: String { folder.path }

    func write(_ file: String, _ text: String) throws {
        try Data(text.utf8).write(to: folder.appending(path: file))
    }

    /// A migration that does `up` and records itself, with its way back.
    func add(_ version: Int, _ name: String, up: String, down: String = "SELECT 1;", records: Bool = true) throws {
        let record = "INSERT INTO schema_migrations (version, name) VALUES (\(version), '\(name)');"
        let file = "00\(version)_\(name).sql"
        try write(file, "BEGIN;\n\(up)\n\(records ? record : "")\nCOMMIT;\n")
        try write(
            "down/\(file)", "BEGIN;\n\(down)\nDELETE FROM schema_migrations WHERE version = \(version);\nCOMMIT;\n")
    }
}
