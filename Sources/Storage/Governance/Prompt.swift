package import Contracts
package import FoundationEssentials

/// One version of a role's prompt and what was decided on it; without its text.
package struct Prompt: Sendable, Equatable {
    package let id: PromptID
    package let role: AgentRole
    /// Counts the role's proposals from 1.
    package let version: Int
    /// The version that was active when it was proposed; 0 when none was.
    package let baseVersion: Int
    package let status: PromptStatus
    /// What governance said when it was proposed: `within_limits`, `unknown_role`, `human_approval_required`,
    /// `cooldown`, `daily_limit` or `refused_before`.
    package let verdictReason: String
    package let reason: String?
    package let proposedBy: String
    package let proposedAt: Date
    package let reviewedBy: String?
    package let reviewNotes: String?
    package let reviewedAt: Date?
    /// SHA-256 of the text, in hex.
    package let sha256: String
    package let sizeBytes: Int
    /// Agents of the role are handed this one.
    package let isActive: Bool
}

/// One version, whole.
package struct PromptDocument: Sendable, Equatable {
    package let prompt: Prompt
    package let content: String
    /// The text of its base version; nil when it had none.
    package let baseContent: String?
    /// When a proposal for the role could next become active by itself; nil when it could now, or never will.
    package let nextAutoAt: Date?
    package let outcomes: PromptOutcomes
    package let reviews: PromptReviews
}

/// What became of the tasks whose last attempt was handed one version: so a harmful one shows.
package struct PromptOutcomes: Sendable, Equatable {
    /// Only the newest so many are counted.
    package static let tasksMax = 100_000

    package let tasks: Int
    package let completed: Int
    package let failed: Int
    package let rejected: Int
    package let canceled: Int
    /// Attempts that had to be repeated.
    package let retries: Int
}

/// What peers said of the work that was done by one version; of the newest `PromptOutcomes.tasksMax` reviews.
package struct PromptReviews: Sendable, Equatable {
    package let total: Int
    package let approved: Int
    package let rejected: Int
    package let escalated: Int
    /// How often work was sent back by itself.
    package let reworkRounds: Int

    /// The share that was approved, rounded down to four places; nil when nothing was reviewed.
    package var approvalRate: Weight? {
        total == 0 ? nil : Weight(tenThousandths: approved * Weight.one.tenThousandths / total)
    }
}

/// Names one version of one role's prompt.
package struct PromptVersion: Sendable, Hashable {
    package let role: AgentRole
    package let number: Int

    package init(role: AgentRole, number: Int) {
        self.role = role
        self.number = number
    }

    /// The one that the task's last attempt was handed; nil for none.
    package init?(of task: TaskRecord) {
        guard let number = task.promptVersion else { return nil }
        self.init(role: task.role, number: number)
    }
}

/// A proposal that was filed, and governance's verdict on it, which is the prompt's status.
package struct FiledPrompt: Sendable, Equatable {
    package let prompt: Prompt
    /// Of a blocked one: when another could become active by itself; nil when that will never be.
    package let nextAutoAt: Date?
}

/// Which prompts a listing shows, newest first.
package struct PromptFilter: Sendable {
    package var role: AgentRole?
    package var status: PromptStatus?
    /// Only those proposed before this one.
    package var before: PromptID?
    package var limit: Int

    package init(role: AgentRole? = nil, status: PromptStatus? = nil, before: PromptID? = nil, limit: Int) {
        self.role = role
        self.status = status
        self.before = before
        self.limit = limit
    }
}

/// Where a role's governance stands: a row of the view `governance_status`.
package struct RoleGovernance: Sendable, Equatable {
    package let role: AgentRole
    /// `ready`, `human_approval_required`, `cooldown` or `daily_limit`.
    package let status: String
    package let canAutoUpdate: Bool
    package let rules: GovernanceRules
    package let updatesLast24h: Int
    package let lastUpdateAt: Date?
    package let nextAutoAt: Date?
    package let activeVersion: Int?
    package let pendingReviews: Int
}

/// What became of a role's proposals: a row of the view `learning_stats`.
package struct LearningStats: Sendable, Equatable {
    package let role: AgentRole
    package let proposals: Int
    package let autoApproved: Int
    package let approved: Int
    package let rejected: Int
    package let pendingReview: Int
    package let blocked: Int
    package let lastProposedAt: Date?
    package let rollbacks: Int
    /// Failures that recur and are still being watched.
    package let openPatterns: Int
}

/// What governance does with a request, where it is not carried out.
package struct GovernanceRefusal: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// Nobody approves what they proposed.
        case selfApproval = "GP403"
        case unknown = "GP404"
        /// Decided already, or overtaken by another version.
        case conflict = "GP409"
        case invalid = "GP422"
    }

    package let kind: Kind
    /// The rule's own words; they say that nothing was changed.
    package let message: String
}

package enum ProposalOutcome: Sendable, Equatable {
    case filed(FiledPrompt)
    case refused(GovernanceRefusal)
}

package enum DecisionOutcome: Sendable, Equatable {
    case decided(Prompt)
    case refused(GovernanceRefusal)
}

package enum RulesOutcome: Sendable, Equatable {
    case set(RoleGovernance)
    /// The role's rules are others than expected, nil when it has none; nothing was changed.
    case stale(RoleGovernance?)
}
