internal import Contracts
internal import HTTPEdge
internal import Storage

/// How a review says no to a vote.
enum ReviewProblem {
    static func refused(_ refusal: BallotOutcome.Refusal, _ session: ReviewSession) -> Problem {
        let (code, detail): (ProblemCode, String) =
            switch refusal {
            case .late: (.conflict, "The review is \(session.status.rawValue), or its deadline has passed.")
            case .duplicate: (.conflict, "You have voted in this review; a vote cannot be changed.")
            case .otherSeat: (.conflict, "You have voted for another role in this review.")
            case .seatTaken: (.conflict, "Somebody else has voted for this role.")
            case .wrongArtifact: (.conflict, "The vote is about another artifact than the review's.")
            case .foreign: (.forbidden, "The role has no seat in this review.")
            case .otherRole: (.forbidden, "You have not announced this role.")
            case .unknownAgent: (.forbidden, "Nobody knows whose agent you are.")
            case .noVote: (.conflict, "There was no vote.")
            case .author: (.forbidden, "Nobody votes on their own work.")
            case .sameOwner: (.forbidden, "Nobody votes on work of their own owner.")
            }
        return Problem(
            code, "\(detail) The vote was not counted.",
            members: [Problem.Member(name: "reason", value: JSONWriter.string(refusal.rawValue))]
        )
    }
}
