import Contracts
import Foundation
import PeerHubCore
import Storage
import Testing

/// Everything at once: honest votes, and every kind that must not count, for many sessions through two stores.
@Suite(.timeLimit(.minutes(10))) struct `Review storm` {
    static let sessionCount = 500

    @Test func `every session gets exactly one decision, the one its stored votes mean`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { left in
            try await database.withPool { right in
                let stores = [left, right].map { ReviewStore(pool: $0, decide: ReviewHarness.decide) }
                let sessions = try await open(stores[0])
                let (outcomes, decidedBySweep) = try await storm(sessions, stores)
                try await check(sessions, outcomes, decidedBySweep, stores[0], database)
                for store in stores { await store.shutdown() }
            }
        }
    }

    /// One in ten has so short a deadline that votes and sweep meet.
    private func open(_ store: ReviewStore) async throws -> [ReviewSession] {
        var sessions: [ReviewSession] = []
        for number in 0..<Self.sessionCount {
            let session = try ReviewHarness.session(seconds: number % 10 == 0 ? 1.5 : 3600)
            _ = try await store.open(session)
            sessions.append(session)
        }
        return sessions
    }

    private struct Sent: Sendable {
        let session: ReviewID
        let outcome: BallotOutcome
    }

    private func storm(
        _ sessions: [ReviewSession], _ stores: [ReviewStore]
    ) async throws -> (outcomes: [Sent], decidedBySweep: [ReviewID]) {
        let ballots = try sessions.flatMap(ballots).shuffled()
        let share = ballots.count / 40 + 1
        return try await withThrowingTaskGroup(of: ([Sent], [ReviewID]).self) { group in
            for start in stride(from: 0, to: ballots.count, by: share) {
                let mine = ballots[start..<min(start + share, ballots.count)]
                group.addTask {
                    var sent: [Sent] = []
                    var rest = mine
                    while !rest.isEmpty {
                        let batch = Array(rest.prefix(Int.random(in: 1...9)))
                        rest = rest.dropFirst(batch.count)
                        let store = stores[Int.random(in: 0..<stores.count)]
                        for (ballot, outcome) in zip(batch, try await store.count(batch)) {
                            sent.append(Sent(session: ballot.session, outcome: outcome))
                        }
                    }
                    return (sent, [])
                }
            }
            for store in stores {
                group.addTask {
                    var decided: [ReviewID] = []
                    for _ in 0..<60 { decided += try await store.decideDue(limit: 7).map(\.id) }
                    return ([], decided)
                }
            }
            return try await group.reduce(into: ([], [])) {
                $0.0 += $1.0
                $0.1 += $1.1
            }
        }
    }

    /// Five honest votes, some of them sent twice, and one of each kind that must not count.
    private func ballots(_ session: ReviewSession) throws -> [Ballot] {
        let choices = ["approve", "approve", "approve", "conditional", "reject", "abstain"]
        var ballots: [Ballot] = []
        for seat in session.terms.seats {
            let role = seat.role.text
            let honest = try ReviewHarness.ballot(choices.randomElement()!, role, in: session)
            ballots += Array(repeating: honest, count: Int.random(in: 1...3))
            ballots.append(try ReviewHarness.ballot("reject", role, in: session, by: "author-1"))
            ballots.append(try ReviewHarness.ballot("reject", role, in: session, owner: "authors"))
            ballots.append(
                try ReviewHarness.ballot("reject", role, in: session, artifact: ReviewHarness.otherArtifact))
            ballots.append(
                Ballot(
                    session: session.id, role: seat.role, reviewer: "eve", owner: "eve", body: try guess(),
                    proof: .lease(work: TaskID(UUID()), attempt: 1, token: "guessed")))
        }
        return ballots
    }

    private func guess() throws -> VoteBody {
        var body = try JSONReader(JSONWriter.object { $0.field("vote", "approve") })
        return try VoteBody(from: &body)
    }

    private func check(
        _ sessions: [ReviewSession], _ sent: [Sent], _ swept: [ReviewID], _ store: ReviewStore,
        _ database: MigrationDatabase
    ) async throws {
        // Time for the short deadlines, then the last sweep.
        try await Task.sleep(for: .seconds(2))
        while try await !store.decideDue(limit: 100).isEmpty {}
        let votes = try await store.votes(in: sessions.map(\.id))
        var counts: [ReviewStatus: Int] = [:]
        for opened in sessions {
            let session = try #require(try await store.find(opened.id, tenant: ReviewHarness.tenant))
            counts[session.status, default: 0] += 1
            let cast = (votes[opened.id] ?? []).map(\.cast)
            let recount = PeerHubCore.Tally(opened.terms, cast.shuffled())
            switch session.phase {
            case .decided(let decision):
                #expect(recount.outcome(atDeadline: opened.deadline < decision.at) == decision.outcome)
            case .open: #expect(recount.ruling(atDeadline: false) == nil)
            case .canceled: Issue.record("nobody cancels")
            }
            #expect(Set(cast.map(\.role)).count == cast.count)
            #expect(!cast.contains { ["author-1", "eve"].contains($0.reviewer) })
            let counted = sent.count { $0.session == opened.id && $0.outcome.word == "counted" }
            #expect(counted == cast.count, "one vote in the table for each that was said to count")
        }
        #expect(Set(swept).count == swept.count, "the sweep decides a session once")
        #expect(counts[.approved, default: 0] > 0 && counts[.rejected, default: 0] > 0)
        let words = Set(sent.map(\.outcome.word))
        let expected = ["counted", "repeated", "late", "foreign", "author", "same_owner", "wrong_artifact"]
        #expect(words.isSuperset(of: expected), "\(words)")
        let afterwards =
            "SELECT count(*) FROM peer_votes v JOIN peer_review_sessions s ON s.id = v.session_id "
            + "WHERE v.voted_at > s.decided_at"
        #expect(try await database.sql(afterwards) == "0")
    }
}
