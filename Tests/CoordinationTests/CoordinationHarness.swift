import Coordination
import Logging
import Redis
import Synchronization
import TestSupport

/// Generous, because test machines are busy; a test that measures time sets its own limit.
let patience = Duration.seconds(30)

/// Starts a server and runs a connection to it while `body` runs.
func withRedis<Value: Sendable>(
    timeout: Duration = patience, _ body: (TestRedis, RedisConnection) async throws -> Value
) async throws -> Value {
    let server = try await TestRedis.started()
    let configuration = RedisConfiguration(
        port: server.port, password: TestRedis.password, connectTimeout: .seconds(5), commandTimeout: timeout
    )
    let redis = RedisConnection(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    async let running: Void = redis.run()
    do {
        try await redis.waitUntilConnected(within: patience)
        let value = try await body(server, redis)
        await redis.shutdown(within: .seconds(1))
        try await running
        return value
    } catch {
        await redis.shutdown(within: .zero)
        throw error
    }
}

extension RedisConnection {
    func waitUntilDisconnected() async {
        for await state in stateChanges() { if case .disconnected = state { return } }
    }
}

extension RatePolicy {
    /// Whole credit only after 300 days, so that no test sees a unit come back by itself.
    static func slow(_ name: String = "role", burst: Int) throws -> RatePolicy {
        try RatePolicy(name: name, limit: burst, period: .seconds(300 * 86400), burst: burst)
    }
}

/// A generator whose runs repeat: SplitMix64, Steele, Lea and Flood, 2014.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A clock that stands until it is moved.
final class ManualClock: Sendable {
    private let microseconds = Mutex<Int64>(1_000_000)

    var now: Int64 { microseconds.withLock { $0 } }
    func advance(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        microseconds.withLock { $0 += seconds * 1_000_000 + attoseconds / 1_000_000_000_000 }
    }
}
