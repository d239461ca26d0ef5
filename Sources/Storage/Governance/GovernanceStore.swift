package import Contracts
package import Postgres

/// The prompts of agents' roles, and the rules by which they change.
///
/// The rules are SQL functions, so that an operator's psql, the API and the supervisor cannot differ; this store calls
/// them. Decisions about one role are made one after the other, in the database.
package final class GovernanceStore: Sendable {
    /// Roles in one answer.
    package static let rolesMax = 1000

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Files a new version and answers what governance decided on it; auto-approved, it is active already.
    package func propose(_ proposal: PromptProposal, by proposer: String) async throws -> ProposalOutcome {
        try await orRefused({ .refused($0) }) {
            try await pool.transaction { tx in
                guard let filed = try tx.execute(ProposePrompt(proposal: proposal, proposer: proposer)).first,
                    let prompt = try tx.finish(FindPrompt(id: filed.id)).first
                else { throw StoreError(.guardFailed, "A proposal was not filed. Nothing was changed.") }
                return .filed(FiledPrompt(prompt: prompt, nextAutoAt: filed.nextAutoAt))
            }
        }
    }

    /// Makes a waiting or blocked version active. Nobody approves what they proposed.
    package func approve(_ id: PromptID, by approver: String, notes: String?) async throws -> DecisionOutcome {
        try await decide(id, ApprovePrompt(id: id, approver: approver, notes: notes))
    }

    package func reject(_ id: PromptID, by reviewer: String, notes: String?) async throws -> DecisionOutcome {
        try await decide(id, RejectPrompt(id: id, reviewer: reviewer, notes: notes))
    }

    /// Rolls the role back to a version that was approved once; exempt from cooldown and daily limit.
    package func activate(_ id: PromptID, by principal: String, reason: String) async throws -> DecisionOutcome {
        try await decide(id, ActivatePrompt(id: id, principal: principal, reason: reason))
    }

    private func decide<S: PostgresStatement>(
        _ id: PromptID, _ statement: S
    ) async throws -> DecisionOutcome where S.Row == Void {
        try await orRefused({ .refused($0) }) {
            try await pool.transaction { tx in
                _ = try tx.execute(statement)
                guard let prompt = try tx.finish(FindPrompt(id: id)).first else {
                    throw StoreError(.guardFailed, "A prompt vanished while it was decided on. Nothing was changed.")
                }
                return .decided(prompt)
            }
        }
    }

    /// The functions refuse with SQLSTATEs of their own: outcomes, not errors.
    private func orRefused<Outcome>(
        _ refused: (GovernanceRefusal) -> Outcome, _ body: () async throws -> Outcome
    ) async throws -> Outcome {
        do {
            return try await body()
        } catch let error as PostgresError {
            guard let kind = error.sqlState.flatMap({ GovernanceRefusal.Kind(rawValue: $0) }) else { throw error }
            return refused(GovernanceRefusal(kind: kind, message: error.serverMessage ?? error.message))
        }
    }

    // MARK: Looking

    package func find(_ id: PromptID) async throws -> PromptDocument? {
        try await pool.execute(FindPromptDocument(id: id)).first
    }

    package func prompts(_ filter: PromptFilter) async throws -> [Prompt] {
        try await pool.execute(ListPrompts(filter: filter))
    }

    /// Of one role, or of all that have rules, by role.
    package func status(of role: AgentRole? = nil) async throws -> [RoleGovernance] {
        try await pool.execute(ShowGovernance(role: role, limit: Self.rolesMax))
    }

    /// What became of proposals, by role.
    package func stats() async throws -> [LearningStats] {
        try await pool.execute(CountLearning(limit: Self.rolesMax))
    }

    /// Failures that recurred, newest first.
    package func patterns(_ filter: PatternFilter) async throws -> [LearnedPattern] {
        try await pool.execute(ListPatterns(filter: filter))
    }

    // MARK: Handing out

    /// The active prompts by role.
    ///
    /// - Parameter known: those the caller has; their texts are not read again while they stay active.
    package func activePrompts(known: [AgentRole: RolePrompt]) async throws -> [AgentRole: RolePrompt] {
        let found = try await pool.execute(FindActivePrompts(known: known, limit: Self.rolesMax))
        var prompts: [AgentRole: RolePrompt] = [:]
        for (version, content) in found {
            prompts[version.role] =
                content.map { RolePrompt(version: version.number, content: $0) } ?? known[version.role]
        }
        return prompts
    }

    /// Those of the versions that exist, active or not.
    package func prompts(_ versions: Set<PromptVersion>) async throws -> [PromptVersion: RolePrompt] {
        guard !versions.isEmpty else { return [:] }
        let found = try await pool.execute(FindPromptTexts(versions: Array(versions)))
        return Dictionary(
            found.map { ($0.version, RolePrompt(version: $0.version.number, content: $0.content)) }
        ) { first, _ in first }
    }

    // MARK: Rules

    /// Sets a role's rules; they count for the next proposal.
    ///
    /// - Parameter expectedVersion: `GovernanceRules.version` of those that are replaced, `versionOfNone` for a role
    ///   without any; nil for whatever they are.
    package func setRules(
        _ rules: GovernanceRules, of role: AgentRole, expectedVersion: String?
    ) async throws -> RulesOutcome {
        let statement = SetRules(role: role, rules: rules, expectedVersion: expectedVersion)
        let (isSet, now) = try await pool.transaction { tx in
            let isSet = try !tx.execute(statement).isEmpty
            return (isSet, try tx.finish(ShowGovernance(role: role, limit: 1)).first)
        }
        if isSet, let now { return .set(now) }
        return .stale(now)
    }
}
