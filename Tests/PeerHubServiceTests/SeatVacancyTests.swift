import Contracts
import Foundation
import MessageBus
import NATS
import Postgres
import Storage
import TestSupport
import Testing

/// A seat stays empty only as long as nobody else could fill it.
@Suite(.timeLimit(.minutes(5))) struct `Seat vacancies` {
    private func withWork(
        of roles: [String] = ["security"],
        _ body: @escaping @Sendable (HubUnderTest, ReviewRequest, [WorkItem]) async throws -> Void
    ) async throws {
        try await HubUnderTest.run { test in
            let hub = try await test.hub()
            try await test.introduce(["security-1", "security-2", "tester-1"])
            try await test.introduce(["author-1", "author-2"], owner: "authors")
            let request = try HubUnderTest.request(roles)
            try await test.ask(request)
            try await body(test, request, try await test.work(of: roles, count: roles.count))
            await hub.stop()
        }
    }

    @Test func `work is not for the author nor for agents of the author's owner`() async throws {
        try await withWork { test, request, items in
            #expect(items[0].exclusion == WorkExclusion(agents: ["author-1"], owners: ["authors"]))
            #expect(items[0].attempt == 1)
        }
    }

    @Test(arguments: ["author-1", "author-2", "stranger-to-the-role"])
    func `a seat whose holder may not vote is offered to somebody else`(_ holder: String) async throws {
        try await withWork { test, request, items in
            try await test.introduce(["stranger-to-the-role"], roles: ["plumber"])
            try await test.vote(HubUnderTest.output("reject"), on: items[0], by: holder)
            let again = try await test.work(of: ["security"], count: 1)[0]
            #expect(again.task == items[0].task && again.attempt == 2)
            #expect(again.leaseToken != items[0].leaseToken)
            #expect(again.exclusion?.agents.contains(holder) == true)
            #expect(again.input == items[0].input)
            try await test.vote(HubUnderTest.output("approve"), on: again, by: "security-1")
            #expect(try await test.untilDecided(request.session).status == .approved)
        }
    }

    @Test func `a reviewer who fails, refuses or answers nonsense leaves the seat to the next`() async throws {
        try await withWork { test, request, items in
            let failure = AgentReport.Failure(code: "down", message: "no model", isRetryable: true)
            try await test.report(.failed(failure), on: items[0], by: "security-1")
            let second = try await test.work(of: ["security"], count: 1)[0]
            #expect(second.attempt == 2 && second.exclusion?.agents.contains("security-1") == false)
            try await test.report(.rejected(reason: "not mine"), on: second, by: "security-1")
            let third = try await test.work(of: ["security"], count: 1)[0]
            #expect(third.attempt == 3)
            try await test.vote(JSONWriter.object { $0.field("vote", "perhaps") }, on: third, by: "security-1")
            let fourth = try await test.work(of: ["security"], count: 1)[0]
            try await test.vote(HubUnderTest.output("approve"), on: fourth, by: "security-2")
            #expect(try await test.untilDecided(request.session).status == .approved)
        }
    }

    @Test func `a seat that the budget left pays for no vote of is not offered again at once`() async throws {
        try await withWork { test, request, items in
            let failure = AgentReport.Failure(code: "budget_too_small", message: "10 are left", isRetryable: false)
            try await test.report(.failed(failure), on: items[0], by: "security-1")
            // A seat is offered before the report that left it is settled.
            while let left = try await test.bus.backlog(of: BusTopology.hubResponses),
                left.pending + left.ackPending > 0
            {
                try await Task.sleep(for: .milliseconds(20))
            }
            let last = try await test.bus.incarnation(of: .work).lastSequence
            #expect(last == 1)
            // The seat is free all the same.
            try await test.vote(HubUnderTest.output("approve"), on: items[0], by: "security-2")
            let decided = try await test.untilDecided(request.session)
            #expect(decided.status == .approved)
        }
    }

    @Test func `an agent that holds two seats' work votes once, and the other seat goes to somebody else`() async throws
    {
        try await withWork(of: ["security", "tester"]) { test, request, items in
            for item in items.sorted(by: { $0.role < $1.role }) {
                try await test.vote(HubUnderTest.output("approve"), on: item, by: "security-1")
            }
            let again = try await test.work(of: ["security", "tester"], count: 1)[0]
            #expect(again.attempt == 2 && again.exclusion?.agents.contains("security-1") == true)
            try await test.vote(HubUnderTest.output("approve"), on: again, by: "tester-1")
            #expect(try await test.untilDecided(request.session).status == .approved)
            let votes = try await test.store.votes(in: [request.session])[request.session] ?? []
            #expect(Set(votes.map(\.cast.reviewer)) == ["security-1", "tester-1"])
        }
    }

    @Test func `a seat whose reviewer takes the work and says nothing is offered again, once, before the deadline`()
        async throws
    {
        try await HubUnderTest.run { test in
            let hubs = [try await test.hub(), try await test.hub()]
            try await test.introduce(["security-1", "security-2", "tester-1"])
            let request = try HubUnderTest.request(["security", "tester"], seconds: 600)
            try await test.ask(request)
            // Taken and acknowledged, as by an agent that has forgotten it.
            let items = try await test.work(of: ["security", "tester"], count: 2)
            let tester = try #require(items.first { $0.role.text == "tester" })
            try await test.vote(HubUnderTest.output("approve"), on: tester, by: "tester-1")
            let again = try await test.work(of: ["security"], count: 1)[0]
            let forgotten = try #require(items.first { $0.role.text == "security" })
            #expect(again.task == forgotten.task && again.attempt == 2 && again.input == forgotten.input)
            #expect(again.leaseToken != forgotten.leaseToken)
            #expect(again.exclusion?.agents.contains("tester-1") == true)
            let offers = try await test.pool.execute(OffersOf(session: request.session))
            #expect(offers == [2], "of two hubs one offers it")
            #expect(try await test.bus.incarnation(of: .work).lastSequence == 3)
            try await test.vote(HubUnderTest.output("approve"), on: again, by: "security-2")
            #expect(try await test.untilDecided(request.session).status == .approved)
            for hub in hubs { await hub.stop() }
        }
    }

    @Test func `a seat whose request is gone is not counted as offered again`() async throws {
        try await HubUnderTest.run { test in
            let port = freePort()
            let hub = try await test.process(port: port)
            try await test.introduce(["security-1"])
            let request = try HubUnderTest.request(["security"])
            try await test.ask(request)
            let item = try await test.work(of: ["security"], count: 1)[0]
            let connection = try await NATSConnection.connect(
                NATSConfiguration(servers: [test.nats.url], name: "test"), logger: quiet)
            let purge = #"{"filter":"prc.\#(request.session).request"}"#
            _ = try await connection.jetStream("STREAM.PURGE.PRC", payload: Array(purge.utf8))
            await connection.shutdown(within: .seconds(1))
            let failure = AgentReport.Failure(code: "down", message: "no model", isRetryable: true)
            try await test.report(.failed(failure), on: item, by: "security-1")
            let looked = #"peer_review_votes_total{outcome="no_vote"}"#
            while try await HubUnderTest.metric(looked, port: port) == 0 {
                try await Task.sleep(for: .milliseconds(20))
            }
            // Settled once it was tried.
            while let left = try await test.bus.backlog(of: BusTopology.hubResponses),
                left.pending + left.ackPending > 0
            {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await HubUnderTest.metric("peer_review_seats_offered_again_total", port: port) == 0)
            hub.kill()
        }
    }

    @Test func `a hub that dies before it offers the seat again changes nothing`() async throws {
        try await HubUnderTest.run { test in
            let first = try await test.process()
            try await test.introduce(["security-1"])
            let request = try HubUnderTest.request(["security"])
            try await test.ask(request)
            let item = try await test.work(of: ["security"], count: 1)[0]
            first.kill()
            let failure = AgentReport.Failure(code: "down", message: "no model", isRetryable: true)
            try await test.report(.failed(failure), on: item, by: "security-1")
            let second = try await test.process()
            let again = try await test.work(of: ["security"], count: 1)[0]
            #expect(again.attempt == 2)
            second.kill()
        }
    }
}

private struct OffersOf: PostgresStatement {
    let session: ReviewID

    static let sql = "SELECT offers FROM peer_review_sessions WHERE id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(session.uuid) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
