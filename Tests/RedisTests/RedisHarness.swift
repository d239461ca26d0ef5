import Logging
import Redis
import Synchronization
import TestSupport

/// Generous, because test machines are busy; a test that measures time sets its own limit.
let patience = Duration.seconds(30)

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func configuration(_ server: TestRedis, timeout: Duration = patience) -> RedisConfiguration {
    RedisConfiguration(
        port: server.port, password: TestRedis.password, connectTimeout: .seconds(5), commandTimeout: timeout
    )
}

/// Runs a connection while `body` runs, and shuts it down after.
func withConnection<Value: Sendable>(
    _ configuration: RedisConfiguration, logger: Logger = quietLogger, connected: Bool = true,
    _ body: (RedisConnection) async throws -> Value
) async throws -> Value {
    let connection = RedisConnection(configuration, logger: logger)
    async let running: Void = connection.run()
    do {
        if connected { try await connection.waitUntilConnected(within: patience) }
        let value = try await body(connection)
        await connection.shutdown(within: .seconds(1))
        try await running
        return value
    } catch {
        await connection.shutdown(within: .zero)
        throw error
    }
}

/// Starts a server and a connection to it.
func withRedis<Value: Sendable>(
    timeout: Duration = patience, change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (TestRedis, RedisConnection) async throws -> Value
) async throws -> Value {
    let server = try await TestRedis.started()
    var configuration = configuration(server, timeout: timeout)
    change(&configuration)
    return try await withConnection(configuration) { try await body(server, $0) }
}

/// The error `body` throws; nil when it throws none.
func failure(_ body: () async throws(RedisError) -> Void) async -> RedisError? {
    do throws(RedisError) {
        try await body()
        return nil
    } catch {
        return error
    }
}

/// Waits for a state; nil when it does not come.
@discardableResult
func wait(
    _ connection: RedisConnection, until fits: @escaping @Sendable (RedisConnectionState) -> Bool
) async -> RedisConnectionState? {
    await withTaskGroup(of: RedisConnectionState?.self) { group in
        group.addTask { await connection.stateChanges().first(where: fits) }
        group.addTask {
            try? await Task.sleep(for: patience)
            return nil
        }
        defer { group.cancelAll() }
        return await group.next() ?? nil
    }
}

extension RedisConnectionState {
    var isConnected: Bool { if case .connected = self { true } else { false } }
    var isDisconnected: Bool { if case .disconnected = self { true } else { false } }
    var isClosed: Bool { if case .closed = self { true } else { false } }
    var cause: RedisError? { if case .disconnected(let cause) = self { cause } else { nil } }
}

/// Counts what became of the commands of a test.
final class Tally: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func add(_ what: String) { counts.withLock { $0[what, default: 0] += 1 } }
    subscript(_ what: String) -> Int { counts.withLock { $0[what] ?? 0 } }
    var kinds: Set<String> { counts.withLock { Set($0.keys) } }
}
