import Bootstrap
import Contracts
import Foundation
import MessageBus
import NATS
import OrchestratorService
import PeerHubService
import ServiceLifecycle
import Storage
import TestSupport
import Testing

/// One process's services, which can be ended like a killed process: at once, whatever they were doing.
final class ServiceUnderTest: Sendable {
    private let services: ServiceGroup
    private let task: Task<Void, any Error>

    init(_ services: [any Service]) {
        let group = ServiceGroup(configuration: .init(services: services, logger: OrchestratorUnderTest.quiet))
        self.services = group
        task = Task { try await group.run() }
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

/// What peers do in a test.
struct Peers: Sendable {
    typealias Work = @Sendable (WorkItem) async throws -> AgentReport.Body?

    static let roles = ["security", "reviewer", "tester"]

    var develop: Work = { item in
        .completed(
            output: JSONWriter.object { $0.field("code", item.plan == nil ? "first" : "again") }, usage: nil)
    }
    var review: Work = { _ in Peers.vote("approve") }

    static func vote(_ choice: String, concerns: [String] = []) -> AgentReport.Body {
        .completed(
            output: JSONWriter.object { writer in
                writer.field("vote", choice)
                writer.field("rationale", "because")
                writer.field("concerns", concerns)
            },
            usage: nil
        )
    }
}

extension OrchestratorUnderTest {
    /// A peer hub on the same stores.
    func startHub() async throws -> ServiceUnderTest {
        let settings = ServiceConfiguration(environment: self.settings)
        return ServiceUnderTest(try await PeerHub(PeerHubConfiguration(settings), logger: Self.quiet).services)
    }

    /// An orchestrator beside those that `run` has started; the next replica.
    func startReplica() async throws -> ServiceUnderTest {
        let number = replicas
        let replica = ServiceUnderTest(try await orchestrator([:]).services)
        try await eventually { self.replicas == number + 1 }
        try await eventually { try await self.get("/ready", replica: number, token: nil).status == 200 }
        return replica
    }

    /// Makes agents known, each with an owner of its own.
    func introduce(_ agents: [(name: String, role: String)]) async throws {
        let known = try agents.map { name, role in
            KnownAgent(
                agent: try #require(AgentID(name)), roles: [try #require(AgentRole(role))], slots: 1,
                owner: "owner-of-\(name)", version: "1", lastSeen: Date())
        }
        try await withStore { pool, _ in try await AgentStore(pool: pool).save(known) }
    }

    /// Runs a developer and three reviewers beside `body`.
    func withPeers(_ peers: Peers = Peers(), _ body: () async throws -> Void) async throws {
        try await introduce([("dev-1", "developer")] + Peers.roles.map { ("\($0)-1", $0) })
        try await withAgent(name: "dev-1", work: peers.develop) {
            try await withAgent(role: "security", name: "security-1", work: peers.review) {
                try await withAgent(role: "reviewer", name: "reviewer-1", work: peers.review) {
                    try await withAgent(role: "tester", name: "tester-1", work: peers.review, body)
                }
            }
        }
    }

    /// The task as the API shows it.
    func task(_ id: String, replica: Int = 0) async throws -> Answer {
        try await get("/tasks/\(id)", replica: replica, token: token())
    }

    /// Waits until the task is in the state.
    func until(_ state: String, _ id: String, replica: Int = 0) async throws {
        try await eventually { try await task(id, replica: replica)["state"] == state }
    }

    /// A connection of the test's own.
    func withBus(_ body: (MessageBus) async throws -> Void) async throws {
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test"), logger: Self.quiet)
        var configuration = BusConfiguration()
        configuration.ownsStreams = false
        do {
            try await body(MessageBus(connection: connection, configuration: configuration, logger: Self.quiet))
        } catch {
            await connection.shutdown(within: .seconds(1))
            throw error
        }
        await connection.shutdown(within: .seconds(1))
    }
}
