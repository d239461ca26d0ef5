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
                try await stack.nats.crashAndLoseStore()
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
                try await stack.nats.crashAndLoseStore()
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
                try await stack.nats.crashAndLoseStore()
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
                try await stack.nats.crashAndLoseStore()
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

    /// Where everything stands, for a test that waits in vain.
    private static func diagnosis(_ stack: OrchestratorUnderTest) async throws -> String {
        var lines: [String] = []
        for query in [
            "SELECT 'tasks', state, rework, count(*) FROM tasks GROUP BY 2, 3",
            """
            SELECT 'session', s.status, count(*), min(now() - s.opened_at), max(now() - s.opened_at),
                min(now() - t.updated_at), string_agg(DISTINCT t.state, ',')
            FROM peer_review_sessions s JOIN tasks t ON t.id = s.task_id GROUP BY 2
            """,
            """
            SELECT 'waiting', count(*), count(s.id), count(*) FILTER (WHERE s.status = 'open'),
                min((SELECT count(*) FROM peer_votes v WHERE v.session_id = s.id)),
                max((SELECT count(*) FROM peer_votes v WHERE v.session_id = s.id)), now() - min(t.dispatched_at)
            FROM tasks t LEFT JOIN peer_review_sessions s ON s.id::text = t.lease_token WHERE t.state = 'reviewing'
            """,
            """
            SELECT 'unvoted', r ->> 'role', count(*) FROM peer_review_sessions s, json_array_elements(s.reviewers) r
            WHERE s.status = 'open' AND NOT EXISTS (
                SELECT FROM peer_votes v WHERE v.session_id = s.id AND v.reviewer_role = r ->> 'role') GROUP BY 2
            """,
            "SELECT 'outbox', count(*) FROM outbox", "SELECT * FROM bus_streams",
            """
            SELECT l.granted, a.state, now() - a.backend_start, now() - a.query_start, left(a.query, 60)
            FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory'
            """,
        ] { lines.append(try await stack.sql(query)) }
        try await stack.withBus { bus in
            for consumer in BusTopology.consumers {
                if let backlog = try await bus.backlog(of: consumer) {
                    lines.append("\(consumer.name) \(backlog)")
                } else {
                    lines.append("\(consumer.name) is missing")
                }
            }
            for role in ["developer"] + Peers.roles {
                lines.append("\(role) \(String(describing: try await bus.consumerState(AgentRole(role)!)))")
            }
        }
        return lines.joined(separator: "\n")
    }

    private static let patient = """
        {"stages":[{"name":"work","kind":"work","role":"developer"},
            {"name":"review","kind":"review","quorum":0.75,"timeout_seconds":86400,"reviewers":[
                {"role":"security","weight":0.4},{"role":"reviewer","weight":0.3},{"role":"tester","weight":0.3}]}]}
        """

    @Test func `a hundred reviews get through the loss of their stream, of a hub and of an orchestrator`() async throws
    {
        let count = 100
        try await OrchestratorUnderTest.run { stack in
            let hubs = [try await stack.startHub(), try await stack.startHub()]
            let replica = try await stack.startReplica()
            let refused = Mutex<Set<String>>([])
            var peers = Peers()
            peers.develop = { item in
                .completed(
                    output: JSONWriter.object { $0.field("code", "\(item.task) \(item.plan != nil)") }, usage: nil)
            }
            peers.review = { item in
                var input = try JSONReader(item.input)
                let task = try input.string("task_id")
                // Every third is refused once.
                let isRefused =
                    task.utf8.last.map { $0 % 3 == 0 } == true
                    && input.optional("artifact")?.text.contains("false") == true
                if isRefused { refused.withLock { _ = $0.insert(task) } }
                return Peers.vote(isRefused ? "reject" : "approve", concerns: isRefused ? ["no"] : [])
            }
            try await stack.withPeers(peers) {
                // With a day for the votes: whatever is missing is asked for again, or this never ends.
                #expect(try await stack.put("/workflows/patient", Self.patient).status == 201)
                for _ in 0..<count { _ = try await stack.submit(#"{"workflow":"patient"}"#) }
                let decided = "SELECT count(*) FROM peer_review_sessions WHERE status <> 'open'"
                try await eventually { Int(try await stack.sql(decided)) ?? 0 > count / 10 }
                let wire = try await NATSConnection.connect(
                    NATSConfiguration(servers: [stack.nats.url], name: "test"), logger: OrchestratorUnderTest.quiet)
                _ = try await wire.request(
                    "$JS.API.STREAM.DELETE.PRC", headers: [:], payload: [], timeout: .seconds(5))
                await wire.shutdown(within: .seconds(1))
                await hubs[0].kill()
                await replica.kill()
                let unfinished = "SELECT count(*) FROM tasks WHERE state <> 'completed'"
                do {
                    try await eventually(within: .seconds(240)) { try await stack.sql(unfinished) == "0" }
                } catch {
                    Issue.record("\(try await Self.diagnosis(stack))")
                    throw error
                }
                let ends = "SELECT count(*), count(DISTINCT task_id) FROM task_events WHERE kind = 'task.completed'"
                #expect(try await stack.sql(ends) == "\(count)|\(count)")
                let approved = "SELECT count(*) FROM peer_review_sessions WHERE status = 'approved'"
                #expect(try await stack.sql(approved) == "\(count)")
                let sentBack = "SELECT count(*) FROM tasks WHERE rework = 1"
                #expect(try await stack.sql(sentBack) == "\(refused.withLock { $0.count })")
                let twice = """
                    SELECT count(*) FROM (
                        SELECT data ->> 'session_id' FROM task_events WHERE kind = 'task.review_decided'
                        GROUP BY 1 HAVING count(*) > 1
                    ) again
                    """
                #expect(try await stack.sql(twice) == "0")
            }
            await hubs[1].stop()
        }
    }
}
