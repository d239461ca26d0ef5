import Contracts
import Foundation
import MessageBus
import NATS
import PeerHubCore
import Storage
import Testing

/// The hubs' whole way under load, with votes of every kind that must not count, and a hub killed in the middle.
@Suite(.timeLimit(.minutes(5))) struct `Peer hub storm` {
    static let sessionCount = 500
    static let reviewers = ["security", "architect", "reviewer", "tester", "developer"]

    @Test func `two hubs, one of them killed, decide every session once`() async throws {
        try await HubUnderTest.run { test in
            try await test.introduce(Self.reviewers.map { "\($0)-1" } + ["eve"])
            try await test.introduce(["author-1", "author-2"], owner: "authors")
            let hubs = [try await test.hub(), try await test.hub()]
            let requests = try (0..<Self.sessionCount).map { _ in try HubUnderTest.request(seconds: 120) }
            let heard = try test.bus.subscribe(.reviewDecisions)
            for request in requests { try await test.ask(request) }
            let items = try await test.work(of: Self.reviewers, count: Self.sessionCount * Self.reviewers.count)
            let half = items.count / 2
            try await Self.vote(Array(items[..<half]), test)
            async let rest: Void = Self.vote(Array(items[half...]), test)
            await hubs[0].kill()
            try await rest
            var decisions: [ReviewID: Set<ReviewStatus>] = [:]
            for await decision in heard {
                decisions[decision.session, default: []].insert(decision.outcome.status)
                if decisions.count == Self.sessionCount { break }
            }
            #expect(decisions.values.allSatisfy { $0.count == 1 }, "a decision is announced again, never another")
            try await Self.check(requests, decisions, test)
            await hubs[1].stop()
        }
    }

    /// One honest vote for each item, some twice, between votes that must not count; in no order.
    private static func vote(_ items: [WorkItem], _ test: HubUnderTest) async throws {
        var ballots: [(item: WorkItem, agent: String, choice: String, token: String?)] = []
        for item in items {
            let choice = ["approve", "approve", "approve", "conditional", "reject", "abstain"].randomElement()!
            ballots.append((item, "\(item.role)-1", choice, nil))
            if Bool.random() { ballots.append((item, "\(item.role)-1", choice, nil)) }
            switch Int.random(in: 0..<4) {
            case 0: ballots.append((item, "eve", "reject", "guess"))
            case 1: ballots.append((item, "author-1", "reject", nil))
            case 2: ballots.append((item, "author-2", "reject", nil))
            default: break
            }
        }
        ballots.shuffle()
        try await withThrowingTaskGroup(of: Void.self) { group in
            let share = ballots.count / 32 + 1
            for start in stride(from: 0, to: ballots.count, by: share) {
                let mine = Array(ballots[start..<min(start + share, ballots.count)])
                group.addTask {
                    for ballot in mine {
                        try await test.vote(
                            HubUnderTest.output(ballot.choice), on: ballot.item, by: ballot.agent, token: ballot.token)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func check(
        _ requests: [ReviewRequest], _ decisions: [ReviewID: Set<ReviewStatus>], _ test: HubUnderTest
    ) async throws {
        let votes = try await test.store.votes(in: requests.map(\.session))
        for request in requests {
            let session = try #require(try await test.session(request.session))
            guard case .decided(let decision) = session.phase else {
                Issue.record("\(session.id) is undecided")
                continue
            }
            let cast = (votes[session.id] ?? []).map(\.cast)
            let recount = Tally(session.terms, cast.shuffled()).outcome(atDeadline: session.deadline <= decision.at)
            #expect(recount == decision.outcome)
            #expect(decisions[session.id] == [decision.outcome.status])
            #expect(Set(cast.map(\.role)).count == cast.count)
            #expect(cast.allSatisfy { $0.reviewer == "\($0.role)-1" })
        }
    }
}
