import Logging
import Redis
import Synchronization
import TestSupport

@testable import Coordination

/// Replicas of one process, each with its own connection to one Redis, guarding the dependency `external_api`.
struct BreakerFleet: Sendable {
    static let name = "external_api"
    static let quick = BreakerPolicy(openWait: .milliseconds(200), openWaitMax: .seconds(120), jitterPercent: 0)
    /// Longer than any test takes.
    static let lasting = BreakerPolicy(openWait: .seconds(600), openWaitMax: .seconds(600), jitterPercent: 0)

    let server: TestRedis
    let registries: [BreakerRegistry]
    let connections: [RedisConnection]
    let logs: [LogRecorder]
    let breakers: [CircuitBreaker]

    /// How the replicas hear of each other's transitions.
    enum Hearing: Sendable {
        /// By notices, the poll being too slow to help.
        case notices
        /// By the poll alone.
        case poll
        /// They do not run: tests send the reports themselves.
        case nothing
    }

    /// Starts a Redis and the replicas, and runs them while `body` runs.
    static func with(
        _ count: Int = 3, policy: BreakerPolicy = quick, hearing: Hearing = .notices,
        _ body: (BreakerFleet) async throws -> Void
    ) async throws {
        let server = try await TestRedis.started()
        let fleet = try BreakerFleet(server, count, policy, hearing)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for redis in fleet.connections { group.addTask { try await redis.run() } }
            for redis in fleet.connections { try await redis.waitUntilConnected(within: patience) }
            if hearing != .nothing {
                for registry in fleet.registries { group.addTask { try await registry.run() } }
            }
            // Everybody has been heard of before the test begins.
            for breaker in fleet.breakers { try await breaker.report() }
            do { try await body(fleet) } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
        }
    }

    private init(_ server: TestRedis, _ count: Int, _ policy: BreakerPolicy, _ hearing: Hearing) throws {
        self.server = server
        let configuration = RedisConfiguration(
            port: server.port, password: TestRedis.password, connectTimeout: .seconds(5), commandTimeout: patience)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let settings = BreakerRegistry.Settings(
            policy: policy, interval: hearing == .notices ? .seconds(3600) : .milliseconds(200), timeout: patience)
        let ear = Ear()
        connections = (0..<count).map { _ in RedisConnection(configuration, logger: quiet) }
        let logs = (0..<count).map { _ in LogRecorder() }
        registries = connections.enumerated().map { place, redis in
            BreakerRegistry(
                redis: redis, replica: "replica-\(place)", replicas: { count }, logger: logs[place].logger,
                settings: settings, onNews: { if hearing == .notices { ear.tell($0, $1) } }
            )
        }
        self.logs = logs
        breakers = try registries.map { try $0.breaker(Self.name) }
        ear.listen(registries)
    }

    /// Calls that fail, on one replica.
    func fail(_ count: Int = 20, on replica: Int) async {
        for _ in 0..<count {
            switch await breakers[replica].admit() {
            case .admitted(let ticket): breakers[replica].finish(ticket, .failure)
            case .refused: return
            }
        }
    }

    /// Calls that go on, on one replica.
    func begin(_ count: Int, on replica: Int) async throws -> [CircuitBreaker.Ticket] {
        var tickets: [CircuitBreaker.Ticket] = []
        for _ in 0..<count {
            switch await breakers[replica].admit() {
            case .admitted(let ticket): tickets.append(ticket)
            case .refused(let refusal): throw refusal
            }
        }
        return tickets
    }

    /// To be taken before what changes the state, and awaited after it.
    func watches() -> [AsyncStream<BreakerStatus>] { registries.map { $0.changes() } }

    func report(_ replicas: Int...) async throws { for replica in replicas { try await breakers[replica].report() } }

    /// Tells the fleet what a replica's calls found out, as its registry does when it runs.
    func runErrands(of replica: Int) async throws { try await registries[replica].runErrandsOnce() }

    var states: [BreakerState] { breakers.map(\.status.state) }

    var overview: BreakerOverview? {
        get async { await registries[0].overviews().first { $0.name == Self.name } }
    }

    func reset() async throws -> BreakerCommand.Result {
        try await registries[0].carryOut(BreakerCommand(.automatic, name: Self.name, reason: "fixed", actor: "ops"))
    }
}

extension [AsyncStream<BreakerStatus>] {
    /// Waits until every replica has come into a state.
    func all(_ state: BreakerState) async { for stream in self { await stream.first(state) } }
}

extension AsyncStream<BreakerStatus> {
    func first(_ state: BreakerState) async { _ = await first { $0.state == state } }
}

/// What the bus does between processes: everybody hears every notice.
private final class Ear: Sendable {
    private let registries = Mutex<[BreakerRegistry]>([])

    func listen(_ registries: [BreakerRegistry]) { self.registries.withLock { $0 = registries } }

    func tell(_ name: String, _ version: Int) {
        for registry in registries.withLock({ $0 }) { registry.heard(name, version: version) }
    }
}
