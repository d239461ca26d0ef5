import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// Tasks under review, and what their peers say.
enum Reviewed {
    static let work = `Task stages`.work("work")
    static let security = AgentRole(literal: "security")
    static let tester = AgentRole(literal: "tester")
    static let review = Stage(
        name: "review", kind: .review(.peers), role: developer, timeout: .seconds(180), attemptMax: 1, guards: [])
    static let stages = [work, review]

    static func context(_ seconds: Double = 1, _ stages: [Stage] = stages) -> TaskMachine.Context {
        `Task stages`.context(seconds, stages)
    }

    /// The name of what is asked in a step at that second.
    static func session(at seconds: Double = 1) -> ReviewID {
        ReviewID(TaskID(at: epoch.addingTimeInterval(seconds), random: (3, 4)).uuid)
    }

    /// Work was done at second 1, and its peers are asked.
    static let waiting = `Task stages`.after(runningTask(), report(success), context())

    static func vote(
        _ role: AgentRole, _ choice: VoteChoice, _ rationale: String = "r", _ concerns: JSON = JSONWriter.array { _ in }
    ) -> ReviewVote {
        ReviewVote(
            cast: CastVote(reviewer: "\(role)-1", role: role, choice: choice), owner: "o", weight: .one,
            opinion: ReviewOpinion(rationale: rationale, concerns: concerns), votedAt: epoch
        )
    }

    static func decision(
        _ status: ReviewStatus, session: ReviewID = session(), of task: TaskRecord = waiting,
        votes: [ReviewVote] = [vote(security, .reject), vote(tester, .approve)], usageTokens: Int = 0
    ) throws -> ReviewDecision {
        let outcome = ReviewOutcome(
            status: status, score: "0.3",
            explanation: JSONWriter.object {
                $0.field("summary", "Said \(status.rawValue).")
                $0.field("quorum", decimal: "0.75")
            })
        return try decision(outcome, session: session, of: task, votes: votes, usageTokens: usageTokens)
    }

    static func decision(
        _ outcome: ReviewOutcome, session: ReviewID, of task: TaskRecord = waiting, votes: [ReviewVote],
        usageTokens: Int = 0
    ) throws -> ReviewDecision {
        var usage = ReviewUsage()
        _ = usage.note(usageTokens, of: security, attempt: 1)
        let terms = try #require(ReviewTerms(seats: ReviewTerms.seatsDefault, quorum: ReviewTerms.quorumDefault))
        let session = ReviewSession(
            id: session, tenant: task.tenant, task: task.id, attempt: task.author?.attempt ?? 1,
            round: task.reviewRound, author: "worker-1", authorOwner: "o",
            artifact: try #require(ArtifactHash(bytes: [UInt8](repeating: 7, count: 32))), terms: terms,
            assignments: [:], traceparent: nil, openedAt: epoch, deadline: epoch,
            phase: .decided(ReviewSession.Decision(outcome: outcome, at: epoch)), usage: usage
        )
        return try #require(ReviewDecision(session, votes: votes))
    }

    static func decided(_ status: ReviewStatus, session: ReviewID = session()) throws -> TaskMachine.Event {
        .reviewDecided(try decision(status, session: session))
    }
}
