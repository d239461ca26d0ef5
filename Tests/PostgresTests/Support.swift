import Foundation
import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a pool around `body` and shuts it down afterwards.
func withPool<R: Sendable>(
    _ connectionString: String, _ adjust: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: (PostgresPool) async throws -> R
) async throws -> R {
    var configuration = PostgresConfiguration(connectionString: connectionString, applicationName: "test")
    adjust(&configuration)
    let pool = PostgresPool(configuration, logger: logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await pool.run() }
        do {
            let result = try await body(pool)
            await pool.shutdown(within: .seconds(2))
            try await group.waitForAll()
            return result
        } catch {
            await pool.shutdown(within: .zero)
            throw error
        }
    }
}

/// A pool on a new database of the shared server, after running `schema` in it.
func withFreshPool<R: Sendable>(
    _ schema: String = "", _ adjust: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: (PostgresPool) async throws -> R
) async throws -> R {
    let server = try await TestPostgres.shared()
    return try await withPool(server.connectionString(database: try await server.freshDatabase()), adjust) { pool in
        if !schema.isEmpty { try await pool.script(schema) }
        return try await body(pool)
    }
}

/// What `body` throws, which must be a `PostgresError`.
func failure<R>(_ body: () async throws -> R) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}

/// Waits for a condition that another thread makes true, for at most thirty seconds.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return false
}

/// Holds the thread until the condition is true, as the body of a transaction does; throws after thirty seconds.
func holdThread(until condition: () -> Bool) throws {
    struct InVain: Error {}
    let end = ContinuousClock.now + .seconds(30)
    while !condition() {
        guard ContinuousClock.now < end else { throw InVain() }
        usleep(1000)
    }
}

/// A counter that several threads share.
final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    @discardableResult
    func add(_ amount: Int = 1) -> Int {
        count.withLock {
            $0 += amount; return $0
        }
    }
}

struct BackendID: PostgresStatement {
    static let sql = "SELECT pg_backend_pid()"
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

struct Sleep: PostgresStatement {
    typealias Row = Void
    static let sql = "SELECT pg_sleep($1)"
    let seconds: Double
    func bind(to bindings: inout PostgresBindings) { bindings.double(seconds) }
}

struct Add: PostgresStatement {
    static let sql = "SELECT $1 + $2"
    static let isReadOnly = true
    let left: Int
    let right: Int
    func bind(to bindings: inout PostgresBindings) {
        bindings.int(left)
        bindings.int(right)
    }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// A table of keys, for tests that count what was kept.
struct Insert: PostgresStatement {
    typealias Row = Void
    static let schema = "CREATE TABLE item (key bigint PRIMARY KEY, worth bigint NOT NULL CHECK (worth >= 0))"
    static let sql = "INSERT INTO item (key, worth) VALUES ($1, $2)"
    let key: Int
    var worth = 0
    func bind(to bindings: inout PostgresBindings) {
        bindings.int(key)
        bindings.int(worth)
    }
}

struct Keys: PostgresStatement {
    static let sql = "SELECT key FROM item ORDER BY key"
    static let isReadOnly = true
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

extension PostgresPool {
    func sum(_ left: Int, _ right: Int) async throws -> Int {
        try #require(await execute(Add(left: left, right: right)).first)
    }

    func sleep(_ seconds: Double) async throws { _ = try await execute(Sleep(seconds: seconds)) }

    /// Returns when `count` statements sleep in this pool's database, as seen from another session.
    func untilSleeping(_ count: Int = 1, seenBy watcher: PostgresPool? = nil) async throws {
        let name = try database
        let watcher = if let watcher { watcher } else { try await Watcher.shared() }
        let sees = try await eventually { try await watcher.execute(SleepingSessions(database: name)) == [count] }
        try #require(sees)
    }

    /// Ends every session in this pool's database, as an administrator would.
    func terminateSessions() async throws {
        try await Watcher.shared().execute(TerminateSessions(database: try database))
    }

    private var database: String {
        get throws {
            let fields = configuration.connectionString.split(separator: " ")
            return String(try #require(fields.first { $0.hasPrefix("dbname=") }).dropFirst("dbname=".count))
        }
    }
}

struct TerminateSessions: PostgresStatement {
    static let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1::text"
    let database: String
    func bind(to bindings: inout PostgresBindings) { bindings.text(database) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

struct SleepingSessions: PostgresStatement {
    static let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = $1::text"
    let database: String
    func bind(to bindings: inout PostgresBindings) { bindings.text(database) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// A pool that looks at the shared server from outside of every test's database, until the test process ends.
private enum Watcher {
    private static let pool = Mutex<PostgresPool?>(nil)

    static func shared() async throws -> PostgresPool {
        let server = try await TestPostgres.shared()
        return pool.withLock { pool in
            if let pool { return pool }
            var configuration = PostgresConfiguration(
                connectionString: server.connectionString(), applicationName: "watcher"
            )
            configuration.maxConnections = 1
            let made = PostgresPool(configuration, logger: logger)
            Task { try await made.run() }
            pool = made
            return made
        }
    }
}
