import AsyncHTTPClient
import Bootstrap
import Contracts
import Foundation
import Logging
import MessageBus
import NATS
import NIOCore
import PeerHubService
import Postgres
import ServiceLifecycle
import Storage
import TestSupport
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Real stores and real hubs on them, all private to one test; the test is the orchestrator and the agents.
struct HubUnderTest: Sendable {
    let postgres: TestPostgres
    let database: String
    let nats: TestNATS
    let pool: PostgresPool
    let bus: MessageBus

    /// A hub that can be ended like a killed process: at once, whatever it was doing.
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

    static func run(_ body: @escaping @Sendable (HubUnderTest) async throws -> Void) async throws {
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
        let test = HubUnderTest(postgres: postgres, database: database, nats: nats, pool: pool, bus: bus)
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

    func hub(onListening: @escaping @Sendable (Int) -> Void = { _ in }) async throws -> Replica {
        let settings = ServiceConfiguration(
            environment: [
                "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
                "GOLDEN_HTTP_PORT": "0",
            ])
        let hub = try await PeerHub(PeerHubConfiguration(settings), logger: quiet, onListening: onListening)
        return Replica(ServiceGroup(configuration: .init(services: hub.services, logger: quiet)))
    }

    /// A hub in a process of its own, which can be killed like any process.
    func process(port: Int = freePort()) async throws -> ServerProcess {
        let hub = ServerProcess(
            try LineProcess.built("peer-hub"), ["serve"],
            environment: [
                "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
                "GOLDEN_HTTP_PORT": "\(port)", "GOLDEN_LOG_LEVEL": "notice",
            ],
            logFile: nats.folder.appending(path: "peer-hub.log")
        )
        try await blocking { try hub.start { accepts(port: port) } }
        return hub
    }

    /// The sum of a hub's counters whose lines begin so.
    static func metric(_ name: String, port: Int) async throws -> Int {
        let answer = try await HTTPClient.shared.execute(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)/metrics"), timeout: .seconds(30))
        let lines = String(buffer: try await answer.body.collect(upTo: 4 << 20)).split(separator: "\n")
        return lines.filter { $0.hasPrefix(name) }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
            .reduce(0, +)
    }

    /// Makes agents known, each with an owner of its own.
    func introduce(
        _ agents: [String], owner: String? = nil,
        roles: [String] = ["security", "architect", "reviewer", "tester", "developer"]
    ) async throws {
        let known = agents.compactMap { AgentID($0) }.map {
            KnownAgent(
                agent: $0, roles: roles.compactMap { AgentRole($0) }, slots: 1, owner: owner ?? "owner-of-\($0)",
                version: "1", lastSeen: Date())
        }
        try await AgentStore(pool: pool).save(known)
    }

    var store: ReviewStore { ReviewStore(pool: pool) { _, _, _ in nil } }

    static func request(
        _ roles: [String] = ["security", "architect", "reviewer", "tester", "developer"], seconds: Int = 60,
        budgetLeft: Int? = nil, artifact: JSON = JSONWriter.object { $0.field("code", "print(1)\n") }
    ) throws -> ReviewRequest {
        let weights = ReviewTerms.seatsDefault.map(\.weight)
        let seats = try zip(roles, weights).map { role, weight in
            ReviewTerms.Seat(role: try #require(AgentRole(role)), weight: weight)
        }
        return ReviewRequest(
            session: ReviewID(newID()), tenant: TenantID(literal: "acme"), task: TaskID(newID()), attempt: 1, round: 1,
            author: "author-1", authorOwner: "authors",
            terms: try #require(ReviewTerms(seats: seats, quorum: ReviewTerms.quorumDefault)), timeoutSeconds: seconds,
            budgetLeft: budgetLeft, artifact: artifact
        )
    }

    static func newID() -> UUID {
        UUID.version7(at: Date(), random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
    }

    func ask(_ request: ReviewRequest) async throws {
        _ = try await bus.publish(
            request, on: .reviewRequest(request.session), id: "\(request.session).request", tenant: request.tenant)
    }

    /// A vote as an agent sends it.
    func vote(
        _ output: JSON, on item: WorkItem, by agent: String, token: String? = nil, session: ReviewID? = nil
    ) async throws {
        try await report(.completed(output: output, usage: nil), on: item, by: agent, token: token, session: session)
    }

    /// Whatever an agent reports about a work item.
    func report(
        _ body: AgentReport.Body, on item: WorkItem, by agent: String, token: String? = nil, session: ReviewID? = nil
    ) async throws {
        let report = AgentReport(
            task: item.task, attempt: item.attempt, leaseToken: token ?? item.leaseToken,
            agent: try #require(AgentID(agent)), body: body
        )
        let subject = session.map { Subject.reviewResponse($0) }
        _ = try await bus.publish(report, on: .reply(try #require(subject ?? item.reply)), id: nil)
    }

    static func output(_ vote: String, rationale: String = "because") -> JSON {
        JSONWriter.object { writer in
            writer.field("vote", vote)
            writer.field("rationale", rationale)
            writer.field("concerns", ["line 1"])
        }
    }

    /// Takes the work of the roles until there is one item for each.
    ///
    /// - Throws: `CancellationError`, which is how the suite's time limit ends it.
    func work(of roles: [String], count: Int) async throws -> [WorkItem] {
        let leases = try await bus.leaseWork(of: roles.compactMap { AgentRole($0) }, slots: count)
        let (items, arrive) = AsyncStream<WorkItem>.makeStream()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await leases.run { batch in
                    for lease in batch { arrive.yield(lease.message) }
                    leases.acknowledge(batch)
                }
            }
            var found: [WorkItem] = []
            for await item in items {
                found.append(item)
                if found.count == count { break }
            }
            await leases.close()
            group.cancelAll()
            guard found.count == count else { throw CancellationError() }
            return found
        }
    }

    func session(_ id: ReviewID) async throws -> ReviewSession? {
        try await store.find(id, tenant: TenantID(literal: "acme"))
    }

    func untilDecided(_ id: ReviewID) async throws -> ReviewSession {
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            if let session = try await session(id), session.status != .open { return session }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw TimeoutError()
    }

    struct TimeoutError: Error {}
}
