import Contracts
import Foundation
import OrchestratorCore

/// What travels over the simulated bus.
enum Parcel {
    case work(WorkItem)
    case report(AgentReport)
    case reviewRequest(ReviewRequest)
    /// A reviewer's work.
    case seat(ReviewID, AgentRole)
    case vote(SeatVote)
    case decision(ReviewDecision)
    case closeReview(ReviewID)
    case escalation(EscalationID)

    enum Stream: CaseIterable { case work, results, reviews, escalations }

    var stream: Stream {
        switch self {
        case .work, .seat: .work
        case .report: .results
        case .reviewRequest, .vote, .decision, .closeReview: .reviews
        case .escalation: .escalations
        }
    }

    var text: String {
        switch self {
        case .work(let item): "work of attempt \(item.attempt) of \(item.task.short)"
        case .report(let report): "\(report.body.word) of attempt \(report.attempt) of \(report.task.short)"
        case .reviewRequest(let request): "request for review \(request.session.short)"
        case .seat(let session, let role): "\(role)'s seat in \(session.short)"
        case .vote(let vote): "\(vote.cast.reviewer)'s \(vote.cast.choice) in \(vote.session.short)"
        case .decision(let decision): "decision of \(decision.session.short), \(decision.outcome.status)"
        case .closeReview(let session): "closing of \(session.short)"
        case .escalation(let id): "escalation \(id.short)"
        }
    }
}

/// A vote as its reviewer sends it.
struct SeatVote {
    let session: ReviewID
    let cast: CastVote
}

/// What the bus recognises a message by that is published again.
struct MessageID: Hashable {
    let kind: String
    let about: UUID
    var number = 0
    /// Set when the message is derived again, so that it is not taken for a repetition.
    var derivation = 0
}

/// A message that the bus holds until a consumer has settled it.
struct Letter {
    let parcel: Parcel
    var isSettled = false
}

/// What a consumer says to a delivery.
enum Settlement {
    case acknowledge
    case handBack(after: Double)
    /// It is at work on it, and settles it later.
    case hold
}

extension TaskID {
    /// For traces.
    var short: String { String(description.suffix(5)) }
}

extension ReviewID {
    var short: String { String(description.suffix(5)) }
}

extension EscalationID {
    var short: String { String(description.suffix(5)) }
}
