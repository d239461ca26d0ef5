import Contracts
import Foundation
import PeerHubCore
import Postgres
import Storage
import Testing

/// Shorthand of the review suites: sessions and ballots from few words.
enum ReviewHarness {
    static let tenant = TenantID(literal: "acme")
    static let artifact = ArtifactHash(bytes: [UInt8](repeating: 7, count: 32))!
    static let otherArtifact = ArtifactHash(bytes: [UInt8](repeating: 8, count: 32))!
    static let silence = ReviewOpinion(rationale: "", concerns: JSONWriter.array { _ in })

    static let decide: ReviewStore.Decide = { session, votes, atDeadline in
        PeerHubCore.Tally(session.terms, votes).outcome(atDeadline: atDeadline)
    }

    static func session(
        _ seats: [ReviewTerms.Seat] = ReviewTerms.seatsDefault, task: TaskID = TaskID(UUID()), round: Int = 1,
        seconds: TimeInterval = 180
    ) throws -> ReviewSession {
        let terms = try #require(ReviewTerms(seats: seats, quorum: ReviewTerms.quorumDefault))
        let assignments = terms.seats.map {
            ($0.role, ReviewSession.Assignment(work: TaskID(UUID()), leaseKey: UUID().uuidString))
        }
        let now = Date()
        return ReviewSession(
            id: ReviewID(UUID.version7(at: now, random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))),
            tenant: tenant, task: task, attempt: 1, round: round, author: "author-1", authorOwner: "authors",
            artifact: artifact, terms: terms, assignments: Dictionary(uniqueKeysWithValues: assignments),
            traceparent: nil, openedAt: now, deadline: now.addingTimeInterval(seconds)
        )
    }

    /// A vote with the seat's own work item, by an agent named after the role.
    static func ballot(
        _ choice: String, _ role: String, in session: ReviewSession, by reviewer: String? = nil, owner: String? = nil,
        artifact: ArtifactHash? = nil, opinion: ReviewOpinion = silence, attempt: Int = 1, usageTokens: Int = 0
    ) throws -> Ballot {
        let role = try #require(AgentRole(role))
        let assignment = try #require(session.assignments[role])
        var body = try JSONReader(
            JSONWriter.object { writer in
                writer.field("vote", choice)
                writer.field("rationale", opinion.rationale)
                writer.field("concerns", opinion.concerns)
                writer.field(ifPresent: "artifact_sha256", artifact?.description)
            })
        return Ballot(
            session: session.id, role: nil, reviewer: reviewer ?? "\(role)-1", owner: owner ?? "owner-of-\(role)",
            body: try VoteBody(from: &body),
            proof: .lease(
                work: assignment.work, attempt: attempt, token: SeatLease.token(for: assignment, attempt: attempt)),
            usageTokens: usageTokens
        )
    }

    static func with(_ body: (ReviewStore, MigrationDatabase) async throws -> Void) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = ReviewStore(pool: pool, decide: decide)
            try await body(store, database)
            await store.shutdown()
        }
    }
}

extension BallotOutcome {
    var word: String {
        switch self {
        case .counted: "counted"
        case .repeated: "repeated"
        case .refused(let refusal, _): refusal.rawValue
        case .unknown: "unknown"
        }
    }
}

extension ReviewStore {
    /// One ballot's outcome in a word.
    func cast(_ ballot: Ballot) async throws -> String { try await count([ballot])[0].word }
}
