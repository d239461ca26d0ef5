import Bootstrap
import Contracts
import DLQWorkerService
import Foundation
import Logging
import MessageBus
import NATS
import Postgres
import ServiceLifecycle
import Storage
import TestSupport
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Real stores and real dlq-workers on them, all private to one test; the test is everybody else.
struct WorkerUnderTest: Sendable {
    static let tenant = TenantID(literal: "acme")

    let postgres: TestPostgres
    let database: String
    let nats: TestNATS
    let pool: PostgresPool
    let bus: MessageBus
    let wire: NATSConnection

    /// A worker that can be ended like a killed process: at once, whatever it was doing.
    final class Replica: Sendable {
        fileprivate let services: ServiceGroup
        fileprivate let task: Task<Void, any Error>

        fileprivate init(_ services: ServiceGroup) {
            self.services = services
            task = Task { try await services.run() }
        }

        func stop() async {
            await services.triggerGracefulShutdown()
            _ = await task.result
        }

        func kill() async {
            task.cancel()
            _ = await task.result
        }
    }

    static func run(_ body: @escaping @Sendable (WorkerUnderTest) async throws -> Void) async throws {
        let postgres = try await TestPostgres.shared()
        let database = try await TestPostgres.migratedDatabase()
        let nats = try await TestNATS.started()
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: postgres.connectionString(database: database), applicationName: "test"),
            logger: quiet
        )
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test"), logger: quiet)
        let bus = MessageBus(connection: connection, logger: quiet)
        async let running: Void = pool.run()
        _ = try await bus.setUp()
        let test = WorkerUnderTest(
            postgres: postgres, database: database, nats: nats, pool: pool, bus: bus, wire: connection)
        do {
            try await body(test)
        } catch {
            await connection.shutdown(within: .seconds(1))
            await pool.shutdown(within: .zero)
            throw error
        }
        await connection.shutdown(within: .seconds(1))
        await pool.shutdown(within: .seconds(2))
        try await running
    }

    func worker(
        _ more: [String: String] = [:], onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Replica {
        let settings = ServiceConfiguration(
            environment: [
                "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
                "GOLDEN_HTTP_PORT": "0",
            ].merging(more) { $1 })
        let worker = try await DLQWorker(DLQWorkerConfiguration(settings), logger: quiet, onListening: onListening)
        return Replica(ServiceGroup(configuration: .init(services: worker.services, logger: quiet)))
    }

    var store: DeadLetterStore { DeadLetterStore(pool: pool) }

    /// Publishes a dead letter as a consumer does that gives up.
    func bury(
        _ payload: [UInt8], subject: String, id: String, reason: String = "undecodable", error: String = "bad",
        attempts: String = "5", tenant: String? = "acme"
    ) async throws {
        var headers = [
            MessageHeader.reason: reason, MessageHeader.error: error, MessageHeader.attempts: attempts,
            MessageHeader.stream: "RESULTS", MessageHeader.sequence: "7", "kept": "yes",
        ]
        headers[MessageHeader.tenant] = tenant
        _ = try await bus.publishRaw(subject: .deadLetter(subject), payload: payload, id: id, headers: headers)
    }

    /// The letters once there are so many.
    func letters(_ count: Int, isResolved: Bool? = nil) async throws -> [DeadLetter] {
        try await until {
            let found = try await store.list(
                DeadLetterPage(tenant: Self.tenant, isResolved: isResolved, limit: 100_000))
            return found.count >= count ? found : nil
        }
    }

    /// The replay once it is no longer running.
    func end(of replay: Replay) async throws -> Replay {
        try await until {
            let now = try await store.replay(replay.id, tenant: replay.tenant)
            return now?.state == .running ? nil : now
        }
    }

    func begin(
        _ filter: DeadLetterFilter, of tenant: TenantID = WorkerUnderTest.tenant, payload: String? = nil,
        rate: Int = 100_000
    ) async throws -> Replay {
        try await store.begin(
            ReplayRequest(
                id: ReplayID(UUID()), tenant: tenant, filter: filter, payload: payload, rate: rate,
                requestedBy: "ada", note: nil))
    }

    private func until<Value>(_ look: () async throws -> Value?) async throws -> Value {
        for _ in 0..<600 {
            if let found = try await look() { return found }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Waited()
    }

    struct Waited: Error {}
}
