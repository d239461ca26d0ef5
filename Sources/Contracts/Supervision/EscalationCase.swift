package import FoundationEssentials

/// All that an escalation is judged by: itself, what was tried before, and what there is to work with.
package struct EscalationCase: Sendable, Equatable {
    /// An escalation of the same task that is over.
    package struct Earlier: Sendable, Equatable {
        package let source: String
        package let failedGuard: Guard?
        package let classification: EscalationCause.Classification?
        package let reason: String
        /// What was done, in the API's word; nil for one that is still open.
        package let resolution: String?
        /// Decided by the supervisor, not by a human.
        package let isAutomatic: Bool

        package init(
            source: String, failedGuard: Guard?, classification: EscalationCause.Classification?, reason: String,
            resolution: String?, isAutomatic: Bool
        ) {
            self.source = source
            self.failedGuard = failedGuard
            self.classification = classification
            self.reason = reason
            self.resolution = resolution
            self.isAutomatic = isAutomatic
        }
    }

    package let id: EscalationID
    package let tenant: TenantID
    package let task: TaskID
    package let attempt: Int
    /// Whose work it is about.
    package let role: AgentRole?
    /// A raw value of `EscalationCause.Source`; rows of other builds may hold others.
    package let source: String
    /// In the words of agents and tenants: data.
    package let reason: String
    package let failedGuard: Guard?
    /// As it was filed.
    package let filedAs: EscalationCause.Classification?
    /// Rounds of rework before it.
    package let rework: Int
    package let traceparent: String?
    package let createdAt: Date
    /// The same task's, the first first.
    package var earlier: [Earlier]
    /// Nil when nobody limits it.
    package let budgetLeft: Int?
    /// What one attempt gets now.
    package let timeoutSeconds: Int
    /// Roles for which an agent was heard of lately.
    package var rolesOnline: Set<AgentRole>

    package init(
        id: EscalationID, tenant: TenantID, task: TaskID, attempt: Int, role: AgentRole?, source: String,
        reason: String, failedGuard: Guard?, filedAs: EscalationCause.Classification?, rework: Int,
        traceparent: String?, createdAt: Date, earlier: [Earlier] = [], budgetLeft: Int?, timeoutSeconds: Int,
        rolesOnline: Set<AgentRole> = []
    ) {
        self.id = id
        self.tenant = tenant
        self.task = task
        self.attempt = attempt
        self.role = role
        self.source = source
        self.reason = reason
        self.failedGuard = failedGuard
        self.filedAs = filedAs
        self.rework = rework
        self.traceparent = traceparent
        self.createdAt = createdAt
        self.earlier = earlier
        self.budgetLeft = budgetLeft
        self.timeoutSeconds = timeoutSeconds
        self.rolesOnline = rolesOnline
    }
}

/// What the supervisor makes of an escalation when it meets it.
package struct EscalationPlan: Sendable, Equatable {
    package let classification: EscalationCause.Classification
    /// What like failures of one role have in common; nil when it is about nobody's work.
    package let signature: String?
    package let step: SupervisorStep

    package init(
        classification: EscalationCause.Classification, signature: String?, step: SupervisorStep
    ) {
        self.classification = classification
        self.signature = signature
        self.step = step
    }
}

/// What is done next about an escalation.
package enum SupervisorStep: Sendable, Equatable {
    /// - Parameter rule: a stable word for why.
    case resolve(Resolution, rule: String)
    case ask(AnalysisForm)
    case leaveToHuman(HumanReason)
}

/// How an analyst is to answer. The raw values are stored, and name the forms for the agent.
package enum AnalysisForm: String, Sendable, CaseIterable {
    case synthesis
    case consensus
}

/// Why an escalation waits for a human. The raw values are stored.
package enum HumanReason: String, Sendable, CaseIterable {
    /// So many resolutions of this task were automatic already that another would be a loop.
    case automaticUsedUp = "automatic_used_up"
    /// Whatever hands work out would be refused.
    case budgetUsedUp = "budget_used_up"
    /// No rule fits, and no agent of the role `supervisor` is online.
    case noAnalyst = "no_analyst"
    /// The analyst said nothing in time.
    case analystSilent = "analyst_silent"
    /// The analyst failed, or declined.
    case analystFailed = "analyst_failed"
    /// What the analyst answered is no answer.
    case answerRefused = "answer_refused"
    /// The analyst would approve, or is not sure: that is for a human to say.
    case recommendation
    /// The task could not take what was decided.
    case refusedByTask = "refused_by_task"
    /// Only a human can do what is missing.
    case needsHuman = "needs_human"
}

/// Like failures of one role, as a pattern is made of them.
package struct PatternCase: Sendable, Equatable {
    package let role: AgentRole
    package let signature: String
    package let classification: EscalationCause.Classification
    /// Of the newest of them.
    package let source: String
    package let failedGuard: Guard?
    package let reason: String
    /// Within the window.
    package let count: Int
    /// The role's prompt as it is now; nil when it has none.
    package let active: RolePrompt?

    package init(
        role: AgentRole, signature: String, classification: EscalationCause.Classification, source: String,
        failedGuard: Guard?, reason: String, count: Int, active: RolePrompt?
    ) {
        self.role = role
        self.signature = signature
        self.classification = classification
        self.source = source
        self.failedGuard = failedGuard
        self.reason = reason
        self.count = count
        self.active = active
    }
}

/// What a pattern comes to.
package struct PatternFinding: Sendable, Equatable {
    /// In words of this project alone.
    package let description: String
    /// The role's prompt with the lesson in it; nil when there is none to learn, or it stands there already.
    package let proposal: PromptProposal?

    package init(description: String, proposal: PromptProposal?) {
        self.description = description
        self.proposal = proposal
    }
}
