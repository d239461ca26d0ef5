package import Contracts

/// Counts the votes of one session: a pure function of the terms and the votes, whatever their order.
///
/// All sums are whole counts of half ten-thousandths, so that nothing is rounded:
///
/// - *for*: the weight of each approval and half the weight of each conditional vote. This is the score.
/// - *against*: the weight of each rejection and the other half of each conditional vote.
/// - *missing*: the weight of the seats that have not voted.
///
/// The quorum is a share of the snapshot's total. An abstention leaves that total unchanged: it makes the quorum no
/// easier to reach, and it is no word against either. So votes against alone can reject: a session is rejected when the
/// quorum could not be reached even if everybody who is missing or abstained approved. When abstentions are what keeps
/// the quorum out of reach, nobody has said what is wrong, and the session is escalated, as at a deadline.
package struct Tally: Sendable, Equatable {
    package enum Ruling: Sendable, Hashable { case approved, rejected, escalated }

    /// Why a session was decided. The raw values stand in explanations.
    package enum Reason: String, Sendable {
        case quorumReached = "quorum_reached"
        case quorumUnreachable = "quorum_unreachable"
        /// As much weight for it as against it.
        case tie
        case quorumMissing = "quorum_missing"
    }

    package let terms: ReviewTerms
    /// By role; of votes for one seat the terms know the first alone.
    package let votes: [AgentRole: CastVote]
    let weightFor: Int
    let weightAgainst: Int
    let weightMissing: Int

    /// Votes for roles without a seat do not count.
    package init(_ terms: ReviewTerms, _ votes: some Sequence<CastVote>) {
        self.terms = terms
        let roles = Set(terms.seats.map(\.role))
        self.votes = Dictionary(votes.filter { roles.contains($0.role) }.map { ($0.role, $0) }) { first, _ in first }
        var (weightFor, weightAgainst, weightMissing) = (0, 0, 0)
        for seat in terms.seats {
            switch self.votes[seat.role]?.choice {
            case .approve: weightFor += 2 * seat.weight.tenThousandths
            case .conditional:
                weightFor += seat.weight.tenThousandths
                weightAgainst += seat.weight.tenThousandths
            case .reject: weightAgainst += 2 * seat.weight.tenThousandths
            case .abstain: break
            case nil: weightMissing += 2 * seat.weight.tenThousandths
            }
        }
        (self.weightFor, self.weightAgainst, self.weightMissing) = (weightFor, weightAgainst, weightMissing)
    }

    /// The decision, as soon as no further vote can change it, and in any case at the deadline. Nil: wait.
    package func ruling(atDeadline: Bool) -> Ruling? {
        if suffices(weightFor) { return .approved }
        if !suffices(weightTotal - weightAgainst) { return .rejected }
        let canBeApproved = suffices(weightFor + weightMissing)
        let canBeRejected = !suffices(weightTotal - weightAgainst - weightMissing)
        return atDeadline || !canBeApproved && !canBeRejected ? .escalated : nil
    }

    func reason(of ruling: Ruling) -> Reason {
        switch ruling {
        case .approved: .quorumReached
        case .rejected: .quorumUnreachable
        case .escalated: weightFor == weightAgainst && weightFor > 0 ? .tie : .quorumMissing
        }
    }

    var weightTotal: Int { 2 * terms.total.tenThousandths }

    /// At least the quorum's share of the total: 2 × 999,999,999 × 10,000 at most, far inside 64 bits.
    func suffices(_ weight: Int) -> Bool {
        weight * Weight.one.tenThousandths >= terms.quorum.tenThousandths * weightTotal
    }

    /// The votes with one seat's changed; nil takes it away.
    package func replacing(_ role: AgentRole, with choice: VoteChoice?) -> Tally {
        var votes = votes
        votes[role] = choice.map { CastVote(reviewer: votes[role]?.reviewer ?? "", role: role, choice: $0) }
        return Tally(terms, votes.values)
    }

    /// The score, exactly: at most five decimal places.
    package var score: String { Self.text(weightFor) }

    static func text(_ halves: Int) -> String { FixedPoint.text(halves * 5, places: 5) }
}

extension Tally.Ruling {
    package var status: ReviewStatus {
        switch self {
        case .approved: .approved
        case .rejected: .rejected
        case .escalated: .escalated
        }
    }
}
