import Contracts
import Foundation
import MessageBus
import NATS
import Synchronization
import TestSupport
import Testing

@testable import OrchestratorService

/// Who is there, by a clock that nobody sets.
@Suite(.timeLimit(.minutes(3))) struct `Presence` {
    private static let agent = AgentID(literal: "dev-1")
    private static let task = TaskID(UUID())

    /// A bus of its own; its server goes away when `body` says so.
    private static func withBus(_ body: (MessageBus, TestNATS) async throws -> Void) async throws {
        let nats = try await TestNATS.started()
        let quiet = OrchestratorUnderTest.quiet
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test"), logger: quiet)
        var failure: (any Error)?
        do { try await body(MessageBus(connection: connection, logger: quiet), nats) } catch { failure = error }
        await connection.shutdown(within: .seconds(1))
        if let failure { throw failure }
    }

    private static func words(isLeaving: Bool = false) -> AgentAnnouncement {
        AgentAnnouncement(
            agent: agent, roles: [AgentRole(literal: "developer")], slots: 4, owner: "sre", version: "1",
            leases: [task], isLeaving: isLeaving)
    }

    @Test func `an agent is online as long as it was heard of lately`() async throws {
        try await Self.withBus { bus, _ in
            let agents = AgentDirectory(bus: bus, logger: OrchestratorUnderTest.quiet)
            let start = ContinuousClock.now
            agents.hear(Self.words(), at: start)
            let last = start + .seconds(AgentAnnouncement.expirySeconds)
            #expect(agents.slots(at: last) == [AgentRole(literal: "developer"): 4])
            #expect(agents.owner(of: Self.agent, at: last) == "sre")
            #expect(agents.holder(of: Self.task, at: last) == Self.agent)
            let late = last + .milliseconds(1)
            #expect(agents.owner(of: Self.agent, at: late) == nil)
            #expect(agents.online(at: late).isEmpty && agents.leases(at: late).isEmpty)
            agents.hear(Self.words(), at: late)
            agents.hear(Self.words(isLeaving: true), at: late)
            #expect(agents.online(at: late).isEmpty)
        }
    }

    private final class Asked: Sendable {
        let count = Mutex(0)
    }

    @Test func `when the bus is back agents are asked who is there`() async throws {
        try await Self.withBus { bus, nats in
            let agents = AgentDirectory(bus: bus, logger: OrchestratorUnderTest.quiet)
            let asked = Asked()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in try bus.subscribeRaw(.announceNow) { asked.count.withLock { $0 += 1 } } }
                group.addTask { try await agents.run() }
                // Both listen.
                try await eventually {
                    try bus.sendRaw(.announceNow)
                    try bus.send(Self.words(), on: .announcements)
                    let heard = asked.count.withLock { $0 }
                    return heard > 0 && !agents.online().isEmpty
                }
                try await nats.crash()
                try await eventually { !bus.isConnected }
                let before = asked.count.withLock { $0 }
                try await nats.restart()
                try await eventually { asked.count.withLock { $0 } > before }
                group.cancelAll()
            }
        }
    }

    @Test func `when an agent was heard of is told by whatever clock is asked`() {
        let entry = AgentDirectory.Entry(announcement: Self.words(), heardAt: ContinuousClock.now - .seconds(100))
        let long = Date(timeIntervalSince1970: 0)
        #expect(abs(entry.heard(by: long).timeIntervalSince(long) + 100) < 50)
    }

    @Test func `a silent replica is gone after six seconds, unless this one hears nobody`() async throws {
        try await Self.withBus { bus, nats in
            let census = ReplicaCensus(bus: bus, logger: OrchestratorUnderTest.quiet)
            let start = ContinuousClock.now
            census.hear("\(UUID().uuidString) \(ReplicaCensus.aloneWord)", at: start)
            census.hear(census.me, at: start + .seconds(3))
            census.hear("noise", at: start + .seconds(3))
            #expect(census.count(at: start + .seconds(5)) == 2 && census.isAnyoneElseAlone)
            #expect(census.count(at: start + .seconds(6)) == 1 && !census.isAnyoneElseAlone)
            census.hear(UUID().uuidString, at: start + .seconds(6))
            try await nats.crash()
            try await eventually { !bus.isConnected }
            #expect(census.count(at: start + .seconds(60)) == 2)
        }
    }
}
