import Contracts
import Foundation
import MessageBus
import NATS
import Storage
import TestSupport
import Testing

/// Hubs as processes under load, with votes of every kind that must not count, killed where it hurts.
@Suite(.timeLimit(.minutes(5))) struct `Peer hub storm` {
    static let sessionCount = 500
    static let reviewers = ["security", "architect", "reviewer", "tester", "developer"]
    /// Of every so many sessions one has a deadline in the middle of the storm.
    static let shortEvery = 10

    @Test func `two hubs, one of them killed and started again, decide every session once`() async throws {
        try await HubUnderTest.run { test in
            try await test.introduce(Self.reviewers.map { "\($0)-1" } + ["eve"])
            try await test.introduce(["author-1", "author-2"], owner: "authors")
            let hubs = [try await test.process(), try await test.process()]
            let requests = try (0..<Self.sessionCount).map {
                try HubUnderTest.request(seconds: $0 % Self.shortEvery == 0 ? 8 : 240)
            }
            let heard = try test.bus.subscribe(.reviewDecisions, bufferCount: 65_536)
            async let decided = Self.listen(to: heard)
            try await Self.inParallel(requests) { try await test.ask($0) }
            let items = try await test.work(of: Self.reviewers, count: Self.sessionCount * Self.reviewers.count)
            async let voting: Void = Self.vote(items, test)
            try await Task.sleep(for: .milliseconds(.random(in: 50...1500)))
            hubs[0].kill()
            try await Task.sleep(for: .milliseconds(.random(in: 0...500)))
            let third = try await test.process()
            try await voting
            let decisions = await decided
            let counts = try await Self.check(requests, decisions, test)
            #expect(counts[.approved, default: 0] > 0 && counts[.rejected, default: 0] > 0)
            #expect(counts[.escalated, default: 0] > 0)
            for hub in [hubs[1], third] { try await blocking { hub.terminate() } }
        }
    }

    @Test func `a hub killed between a vote and the announcement of its decision changes nothing`() async throws {
        try await HubUnderTest.run { test in
            let first = try await test.process()
            try await test.introduce(["security-1"])
            let request = try HubUnderTest.request(["security"])
            try await test.ask(request)
            let item = try await test.work(of: ["security"], count: 1)[0]
            first.pause()
            try await test.vote(HubUnderTest.output("approve"), on: item, by: "security-1")
            // From now on the stream takes no message of any use: the hub decides and cannot say so.
            try await test.limitReviews(toBytes: 16)
            first.resume()
            #expect(try await test.untilDecided(request.session).status == .approved)
            first.kill()
            #expect(try await test.bus.oldest(on: .reviewDecision(request.session), in: .reviews) == nil)
            try await test.limitReviews(toBytes: BusTopology.messageBytesMax)
            let second = try await test.process()
            let decision = try await test.untilStored(request.session)
            #expect(decision.outcome.status == .approved && decision.votes.map(\.cast.reviewer) == ["security-1"])
            #expect(try await test.store.votes(in: [request.session])[request.session]?.count == 1)
            try await blocking { second.terminate() }
        }
    }

    // MARK: The storm

    private struct Heard: Sendable {
        var ends: [ReviewID: Set<String>] = [:]
    }

    /// Every session's decisions, until each has one.
    private static func listen(to decisions: MessageSequence<ReviewDecision>) async -> Heard {
        var heard = Heard()
        for await decision in decisions {
            let end = "\(decision.outcome.status) \(decision.outcome.score) \(decision.decidedAt)"
            heard.ends[decision.session, default: []].insert(end)
            if heard.ends.count == sessionCount { break }
        }
        return heard
    }

    private static func inParallel<Item: Sendable>(
        _ items: [Item], _ body: @escaping @Sendable (Item) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let share = items.count / 32 + 1
            for start in stride(from: 0, to: items.count, by: share) {
                let mine = Array(items[start..<min(start + share, items.count)])
                group.addTask { for item in mine { try await body(item) } }
            }
            try await group.waitForAll()
        }
    }

    private struct Ballot: Sendable {
        let item: WorkItem
        let agent: String
        let choice: String
        var token: String?
        var session: ReviewID?
        var artifact: String?
    }

    /// One honest vote for each item, some twice or with a second thought, between votes that must not count; in no
    /// order.
    private static func vote(_ items: [WorkItem], _ test: HubUnderTest) async throws {
        let otherHash = String(repeating: "0", count: 64)
        var ballots: [Ballot] = []
        for item in items {
            let choice = ["approve", "approve", "approve", "conditional", "reject", "abstain"].randomElement()!
            let honest = Ballot(item: item, agent: "\(item.role)-1", choice: choice)
            ballots += Array(repeating: honest, count: Int.random(in: 1...2))
            let other = try #require(items.randomElement()?.reply.flatMap { Subject.session(of: $0.text) })
            switch Int.random(in: 0..<7) {
            case 0: ballots.append(Ballot(item: item, agent: "eve", choice: "reject", token: "guess"))
            case 1: ballots.append(Ballot(item: item, agent: "author-1", choice: "reject"))
            case 2: ballots.append(Ballot(item: item, agent: "author-2", choice: "reject"))
            case 3: ballots.append(Ballot(item: item, agent: "eve", choice: "reject", artifact: otherHash))
            // A replayed lease: good, but of another session.
            case 4 where Subject.reviewResponse(other) != item.reply:
                ballots.append(Ballot(item: item, agent: "eve", choice: "reject", session: other))
            case 5: ballots.append(Ballot(item: item, agent: "nobody-knows-me", choice: "reject", token: "guess"))
            default: break
            }
        }
        try await inParallel(ballots.shuffled()) { ballot in
            let output = JSONWriter.object { writer in
                writer.field("vote", ballot.choice)
                writer.field(ifPresent: "artifact_sha256", ballot.artifact)
            }
            try await test.vote(
                output, on: ballot.item, by: ballot.agent, token: ballot.token, session: ballot.session)
        }
    }

    // MARK: The check

    private static func check(
        _ requests: [ReviewRequest], _ heard: Heard, _ test: HubUnderTest
    ) async throws -> [ReviewStatus: Int] {
        let votes = try await test.store.votes(in: requests.map(\.session))
        var counts: [ReviewStatus: Int] = [:]
        for request in requests {
            let session = try #require(try await test.session(request.session))
            guard case .decided(let decision) = session.phase else {
                Issue.record("\(session.id) is \(session.status)")
                continue
            }
            counts[session.status, default: 0] += 1
            let cast = (votes[session.id] ?? []).map(\.cast)
            let recount = Recount(session.terms, cast)
            #expect(recount.status == decision.outcome.status && recount.score == decision.outcome.score)
            if decision.at < session.deadline { #expect(recount.isFinal, "\(session.id) was decided too early") }
            #expect(heard.ends[session.id]?.count == 1, "a decision is announced again, never another")
            #expect(Set(cast.map(\.role)).count == cast.count)
            #expect(cast.allSatisfy { $0.reviewer == "\($0.role)-1" })
        }
        return counts
    }
}

/// Counts as docs/reviews.md says, from the votes in the table alone and by nothing of the hub's.
private struct Recount {
    let terms: ReviewTerms
    let choices: [AgentRole: VoteChoice]

    init(_ terms: ReviewTerms, _ votes: [CastVote]) {
        self.terms = terms
        choices = Dictionary(votes.map { ($0.role, $0.choice) }) { first, _ in first }
    }

    var status: ReviewStatus { status(choices) }

    var score: String {
        let hundredThousandths = Int((share(choices, [.approve: 1, .conditional: 0.5]) * 100_000).rounded())
        let fraction = String("\(100_000 + hundredThousandths % 100_000)".dropFirst())
        var text = "\(hundredThousandths / 100_000).\(fraction)"
        while text.last == "0" { text.removeLast() }
        return text.last == "." ? String(text.dropLast()) : text
    }

    /// Whether every way the missing seats could still vote ends the same.
    var isFinal: Bool {
        let missing = terms.seats.map(\.role).filter { choices[$0] == nil }
        var ends: Set<ReviewStatus> = []
        func complete(_ rest: ArraySlice<AgentRole>, _ choices: [AgentRole: VoteChoice]) {
            guard let role = rest.first else {
                ends.insert(status(choices))
                return
            }
            complete(rest.dropFirst(), choices)
            for choice in VoteChoice.allCases {
                complete(rest.dropFirst(), choices.merging([role: choice]) { $1 })
            }
        }
        complete(missing[...], choices)
        return ends.count == 1
    }

    private func status(_ choices: [AgentRole: VoteChoice]) -> ReviewStatus {
        // The weights of the storm have two places, far from where doubles would err by as much as the margin.
        let total = terms.seats.reduce(0) { $0 + Double($1.weight.tenThousandths) / 10_000 }
        let needed = Double(terms.quorum.tenThousandths) / 10_000 * total - 0.000_001
        if share(choices, [.approve: 1, .conditional: 0.5]) >= needed { return .approved }
        return total - share(choices, [.reject: 1, .conditional: 0.5]) < needed ? .rejected : .escalated
    }

    private func share(_ choices: [AgentRole: VoteChoice], _ parts: [VoteChoice: Double]) -> Double {
        terms.seats.reduce(0) { sum, seat in
            sum + (choices[seat.role].flatMap { parts[$0] } ?? 0) * Double(seat.weight.tenThousandths) / 10_000
        }
    }
}

extension HubUnderTest {
    /// The session's decision, once the stream has it.
    func untilStored(_ id: ReviewID) async throws -> ReviewDecision {
        while true {
            if let decision = try await bus.oldest(on: .reviewDecision(id), in: .reviews) { return decision }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Sets the largest message the stream of reviews takes.
    func limitReviews(toBytes bytes: Int) async throws {
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "admin"), logger: quiet)
        let info = try await connection.request(
            "$JS.API.STREAM.INFO.PRC", headers: [:], payload: [], timeout: .seconds(5))
        let answer = try #require(try JSONSerialization.jsonObject(with: Data(info.payload)) as? [String: Any])
        var configuration = try #require(answer["config"] as? [String: Any])
        configuration["max_msg_size"] = bytes
        let update = try await connection.request(
            "$JS.API.STREAM.UPDATE.PRC", headers: [:],
            payload: Array(try JSONSerialization.data(withJSONObject: configuration)), timeout: .seconds(5))
        #expect(!String(decoding: update.payload, as: UTF8.self).contains("\"error\""))
        await connection.shutdown(within: .seconds(1))
    }
}
