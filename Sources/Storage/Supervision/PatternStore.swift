package import Contracts
package import Postgres

/// A role's failures that are alike.
package struct FailureKind: Sendable, Hashable {
    package let role: AgentRole
    package let signature: String
}

/// What looking for a pattern came to.
package enum PatternOutcome: Sendable, Equatable {
    /// Too few failures are alike.
    case none
    /// Seen, and nothing proposed: there is no lesson, it stands in the prompt already, or it was proposed before.
    case watched(occurrences: Int)
    case proposed(PromptID, occurrences: Int)
}

/// Failures that recur, and the proposals that are made of them.
///
/// A role is learned about by one at a time, behind the lock that governance itself takes; pattern and proposal are one
/// transaction. So a pattern that is open is proposed once, whoever and how many look at it.
package final class PatternStore: Sendable {
    package typealias Find = @Sendable (PatternCase) -> PatternFinding

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Kinds of failures to look at.
    package func unlearned(limit: Int) async throws -> [FailureKind] {
        try await pool.execute(ListUnlearned(limit: limit))
    }

    /// Looks whether so many failures of one kind, within the window, make a pattern, and proposes what `find` makes of
    /// it. A pattern whose proposal was decided on is over: as many failures since then make another.
    package func learn(
        _ kind: FailureKind, failuresMin: Int, windowHours: Int, proposer: String, find: @escaping Find
    ) async throws -> PatternOutcome {
        try await pool.transaction { tx in
            _ = try tx.execute(LockPromptRole(role: kind.role))
            _ = try tx.execute(MarkLearned(kind: kind))
            let last = try tx.execute(FindLastPattern(kind: kind)).first
            let watched = last.flatMap { $0.isWatched ? $0.id : nil }
            let evidence = GatherEvidence(kind: kind, watched: watched, windowHours: windowHours)
            guard let found = try tx.execute(evidence).first, watched != nil || found.count >= failuresMin else {
                return .none
            }
            let active = try tx.execute(FindActivePrompt(role: kind.role)).first
            let finding = find(
                PatternCase(
                    role: kind.role, signature: kind.signature, classification: found.classification,
                    source: found.source, failedGuard: found.failedGuard, reason: found.reason, count: found.count,
                    active: active
                ))
            let write = WritePattern(kind: kind, watched: watched, description: finding.description, found: found)
            let isOpen = watched == nil || last?.isOpen == true
            guard let pattern = try tx.execute(write).first, isOpen, let proposal = finding.proposal,
                let filed = try tx.execute(ProposePrompt(proposal: proposal, proposer: proposer)).first
            else { return .watched(occurrences: found.count) }
            try tx.finish(NoteProposal(pattern: pattern, prompt: filed.id))
            return .proposed(filed.id, occurrences: found.count)
        }
    }
}
