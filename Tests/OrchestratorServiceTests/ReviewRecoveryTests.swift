import Contracts
import Foundation
import MessageBus
import NATS
import Storage
import Synchronization
import TestSupport
import Testing

/// Whatever is lost while work waits for its peers, the wait ends, and one answer counts.
@Suite struct `Review recovery` {
    private static let undecided = "SELECT count(*) FROM peer_review_sessions WHERE status = 'open'"

    /// Reviewers who answer nothing until they may: what they had is lost.
    private final class Gate: Sendable {
        private let state = Mutex((isOpen: false, held: 0))

        var held: Int { state.withLock { $0.held } }

        func open() { state.withLock { $0.isOpen = true } }

        func isOpen() -> Bool {
            state.withLock { state in
                if !state.isOpen { state.held += 1 }
                return state.isOpen
            }
        }
    }

    private static func wipe(_ stack: OrchestratorUnderTest) throws {
        stack.nats.kill()
        try stack.nats.wipeStore()
        try stack.nats.start()
    }

    @Test func `a decision that nobody heard is found where it was stored`() async throws {
        try await OrchestratorUnderTest.run(replicas: 0) { stack in
            let first = try await stack.startReplica()
            let hub = try await stack.startHub()
            let gate = Gate()
            var peers = Peers()
            peers.review = { _ in
                while !gate.isOpen() { try await Task.sleep(for: .milliseconds(20)) }
                return Peers.vote("approve")
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await eventually { gate.held > 0 }
                await first.kill()
                gate.open()
                try await eventually {
                    try await stack.sql("SELECT status FROM peer_review_sessions") == "approved"
                }
                #expect(try await stack.sql("SELECT state FROM tasks") == "reviewing")
                try Self.wipe(stack)
                let second = try await stack.startReplica()
                try await stack.until("completed", id, replica: 1)
                #expect(try await stack.kinds(of: id, replica: 1).filter { $0 == "task.review_decided" }.count == 1)
                await second.stop()
            }
            await hub.stop()
        }
    }

    @Test func `an orchestrator that comes back takes on what was decided meanwhile`() async throws {
        try await OrchestratorUnderTest.run(replicas: 0) { stack in
            let first = try await stack.startReplica()
            let hub = try await stack.startHub()
            let gate = Gate()
            var peers = Peers()
            peers.review = { item in
                while !gate.isOpen() { try await Task.sleep(for: .milliseconds(20)) }
                let isFirst = item.input.text.contains("first")
                return Peers.vote(isFirst ? "reject" : "approve", concerns: ["x"])
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await eventually { gate.held > 0 }
                await first.kill()
                gate.open()
                try await eventually {
                    try await stack.sql("SELECT status FROM peer_review_sessions") == "rejected"
                }
                let second = try await stack.startReplica()
                try await stack.until("completed", id, replica: 1)
                #expect(try await stack.task(id, replica: 1).body.contains(#""output":{"code":"again"}"#))
                await second.stop()
            }
            await hub.stop()
        }
    }

    @Test func `votes that JetStream lost are asked for again`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let hub = try await stack.startHub()
            let gate = Gate()
            var peers = Peers()
            peers.review = { item in
                // One has voted before the loss; the others' votes are lost with it.
                if item.role.text == "security" { return Peers.vote("approve") }
                return gate.isOpen() ? Peers.vote("approve") : nil
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await eventually { gate.held == 2 }
                try await eventually { try await stack.sql("SELECT count(*) FROM peer_votes") == "1" }
                gate.open()
                try Self.wipe(stack)
                try await stack.until("completed", id)
                #expect(try await stack.sql("SELECT count(*) FROM peer_review_sessions") == "1")
                #expect(try await stack.sql("SELECT count(*) FROM peer_votes") == "3")
            }
            await hub.stop()
        }
    }

    @Test func `a request that JetStream lost is made again`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withPeers {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("reviewing", id)
                let explained = try await stack.get("/tasks/\(id)/explain", token: stack.token())
                #expect(explained.body.contains("has not opened it yet"), "\(explained.body)")
                try Self.wipe(stack)
                let hub = try await stack.startHub()
                try await stack.until("completed", id)
                await hub.stop()
            }
        }
    }

    @Test func `a review nobody decides is escalated, and closed`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withPeers {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("reviewing", id)
                _ = try await stack.sql("UPDATE tasks SET deadline = now() - interval '1 second'")
                try await stack.until("escalated", id)
                #expect(try await stack.sql("SELECT source, classification FROM escalations") == "review|process_issue")
                // The hub wakes up too late: its session is of no use, and of no consequence.
                let hub = try await stack.startHub()
                try await eventually { try await stack.sql("SELECT count(*) FROM peer_review_sessions") == "1" }
                try await eventually { try await stack.sql(Self.undecided) == "0" }
                #expect(try await stack.task(id)["state"] == "escalated")
                await hub.stop()
            }
        }
    }

    @Test func `a session whose cancellation was lost is closed all the same`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            var peers = Peers()
            peers.review = { _ in nil }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await eventually { try await stack.sql(Self.undecided) == "1" }
                await hub.kill()
                #expect(try await stack.post("/tasks/\(id)/cancel", nil, token: stack.token()).status == 200)
                try Self.wipe(stack)
                let other = try await stack.startHub()
                try await eventually {
                    try await stack.sql("SELECT status FROM peer_review_sessions") == "canceled"
                }
                await other.stop()
            }
        }
    }

    @Test func `nobody but the peer hub decides, whatever is said on the bus`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let hub = try await stack.startHub()
            let gate = Gate()
            var peers = Peers()
            peers.review = { _ in
                while !gate.isOpen() { try await Task.sleep(for: .milliseconds(20)) }
                return Peers.vote("reject")
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await eventually { gate.held > 0 }
                let name = try #require(ReviewID(try await stack.sql("SELECT id FROM peer_review_sessions")))
                let acme = TenantID(literal: "acme")
                var session = try #require(try await stack.withStore { try await $1.find(name, tenant: acme) })
                let outcome = ReviewOutcome(status: .approved, score: "1", explanation: .emptyObject)
                session.phase = .decided(ReviewSession.Decision(outcome: outcome, at: Date()))
                let forged = try #require(ReviewDecision(session, votes: []))
                try await stack.withBus { bus in
                    _ = try await bus.publish(forged, on: .reviewDecision(name), id: nil)
                    try await eventually {
                        let heard = try await bus.backlog(of: BusTopology.orchestratorDecisions)
                        return heard.map { $0.pending + $0.ackPending } == 0
                    }
                }
                #expect(try await stack.task(id)["state"] == "reviewing")
                gate.open()
                try await eventually { try await stack.kinds(of: id).contains("task.reworking") }
                #expect(try await stack.post("/tasks/\(id)/cancel", nil, token: stack.token()).status < 300)
            }
            await hub.stop()
        }
    }
}
