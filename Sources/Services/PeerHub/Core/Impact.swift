package import Contracts

/// What one seat's vote means for a session, the others' votes being what they are.
package struct Impact: Sendable, Equatable {
    package struct Alternative: Sendable, Equatable {
        /// Nil: no vote.
        package let choice: VoteChoice?
        package let status: ReviewStatus
        package let score: String
    }

    package let role: AgentRole
    package let weight: Weight
    package let choice: VoteChoice?
    /// Every vote the seat could have cast, and none.
    package let alternatives: [Alternative]

    /// True when the seat's vote can make a difference.
    package var isDecisive: Bool { Set(alternatives.map(\.status)).count > 1 }

    /// Nil when the role has no seat.
    ///
    /// - Parameter atDeadline: what is undecided then is escalated; otherwise it stays `open`.
    package init?(of role: AgentRole, in tally: Tally, atDeadline: Bool) {
        guard let weight = tally.terms.weight(of: role) else { return nil }
        self.role = role
        self.weight = weight
        choice = tally.votes[role]?.choice
        let choices: [VoteChoice?] = VoteChoice.allCases + [nil]
        alternatives = choices.map { choice in
            let changed = tally.replacing(role, with: choice)
            let status = changed.ruling(atDeadline: atDeadline)?.status ?? .open
            return Alternative(choice: choice, status: status, score: changed.score)
        }
    }
}
