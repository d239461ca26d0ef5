package import FoundationEssentials

/// All that is known of a task, but for its input: one row of `tasks`.
package struct TaskRecord: Sendable, Equatable {
    package let origin: TaskOrigin
    /// What the submission asked for instead of the stages' own timeout and attempts.
    package var overrides: Overrides

    /// Index into the workflow's stages.
    package var stage: Int
    /// Who the current stage is for.
    package var role: AgentRole
    package var phase: Phase
    /// Counts every attempt at any stage; the fencing token of leases and results.
    package var attempt: Int
    /// Counts the attempts at the current stage.
    package var stageAttempt: Int
    /// The number of the last event.
    package var eventSequence: Int
    /// The number of the last progress report of this attempt.
    package var progressSeen: Int
    /// Tokens used by all attempts, the current one's included as far as it has reported.
    package var usageTokens: Int
    /// The current attempt's part of `usageTokens`.
    package var attemptTokens: Int
    /// The version of the role's prompt that the last attempt at the current stage was handed; nil for none.
    package var promptVersion: Int?
    /// The agent that last reported.
    package var agent: AgentID?
    package var updatedAt: Date
    /// How often its work was sent back by itself, at most `Workflow.reworkMax`.
    package var rework: Int
    /// What the next attempts at this stage are asked to do about the ones before.
    package var plan: JSON?
    /// What the stages so far have developed.
    package var draft: Draft?
    /// Whose work the draft is.
    package var author: Author?
    /// The number of its last review; each is one session.
    package var reviewRound: Int

    package init(
        id: TaskID, tenant: TenantID, project: ProjectID, principal: String, name: String?, workflow: WorkflowName,
        workflowVersion: Int, priority: Int, labels: [String: String], traceparent: String?,
        callback: WebhookURL? = nil, createdAt: Date, overrides: Overrides, parent: TaskID? = nil,
        budgetTokens: Int? = nil, stage: Int, role: AgentRole, phase: Phase, attempt: Int = 0, stageAttempt: Int = 0,
        eventSequence: Int = 0, progressSeen: Int = 0, usageTokens: Int = 0, attemptTokens: Int = 0,
        promptVersion: Int? = nil, agent: AgentID? = nil, updatedAt: Date, rework: Int = 0, plan: JSON? = nil,
        draft: Draft? = nil, author: Author? = nil, reviewRound: Int = 0
    ) {
        origin = TaskOrigin(
            id: id, tenant: tenant, project: project, principal: principal, name: name, workflow: workflow,
            workflowVersion: workflowVersion, priority: priority, labels: labels, traceparent: traceparent,
            callback: callback, createdAt: createdAt, parent: parent, budgetTokens: budgetTokens
        )
        self.overrides = overrides
        self.stage = stage
        self.role = role
        self.phase = phase
        self.attempt = attempt
        self.stageAttempt = stageAttempt
        self.eventSequence = eventSequence
        self.progressSeen = progressSeen
        self.usageTokens = usageTokens
        self.attemptTokens = attemptTokens
        self.promptVersion = promptVersion
        self.agent = agent
        self.updatedAt = updatedAt
        self.rework = rework
        self.plan = plan
        self.draft = draft
        self.author = author
        self.reviewRound = reviewRound
    }

    /// Work that is done and does not count yet: later stages judge it or build on it.
    package enum Draft: Sendable, Equatable {
        /// To be stored with this row, instead of what is stored.
        case new(JSON)
        /// Stored, and not read with the row: it may be large.
        case stored
    }

    /// Who made a draft, and how they came to it.
    package struct Author: Sendable, Equatable {
        package let agent: AgentID
        package let role: AgentRole
        package let attempt: Int
        /// The version of the role's prompt that the attempt was handed; nil for none.
        package let promptVersion: Int?

        package init(agent: AgentID, role: AgentRole, attempt: Int, promptVersion: Int?) {
            self.agent = agent
            self.role = role
            self.attempt = attempt
            self.promptVersion = promptVersion
        }
    }

    /// Per-attempt limits in force for the current stage.
    package struct Overrides: Sendable, Equatable {
        package var timeoutSeconds: Int
        package var attemptMax: Int

        package init(timeoutSeconds: Int, attemptMax: Int) {
            self.timeoutSeconds = timeoutSeconds
            self.attemptMax = attemptMax
        }
    }

    /// The part of a task's state that decides what may happen next.
    package enum Phase: Sendable, Equatable {
        /// Waits for the dispatcher, not before `runAt`.
        case queued(runAt: Date)
        /// Somebody holds, or is about to be handed, the current attempt.
        case running(TaskState, Lease)
        /// The holder of the lease was asked to stop; fenced at the lease's deadline.
        case canceling(Lease, reason: String)
        /// Nobody works on it: somebody has to decide. The lease's token names what is asked, and fences answers.
        case waiting(Wait, Lease)
        case ended(Ending, at: Date)
    }

    /// What a task waits for that no agent works on.
    ///
    /// Each is a question to the outside. The lease's token is its name: asked again it is the same question, and an
    /// answer to another, or a second answer, changes nothing.
    package enum Wait: Sendable, Equatable {
        /// The sandbox runs the tests of what was developed, in the execution that the lease's token names; it is asked
        /// for once the lease's time of dispatch has come.
        case execution
        /// Peers vote in the review session that the lease's token names.
        case review
        /// A human approves or rejects what was developed.
        case approval
        /// Somebody resolves the escalation that the lease's token names.
        case resolution

        package var state: TaskState {
            switch self {
            case .execution: .testing
            case .review: .reviewing
            case .approval: .awaitingApproval
            case .resolution: .escalated
            }
        }
    }

    /// The right to report on one attempt, or to answer one question.
    package struct Lease: Sendable, Equatable {
        package let token: String
        package let dispatchedAt: Date
        package var deadline: Date

        package init(token: String, dispatchedAt: Date, deadline: Date) {
            self.token = token
            self.dispatchedAt = dispatchedAt
            self.deadline = deadline
        }
    }

    /// How a task ended.
    package enum Ending: Sendable, Equatable {
        /// `output` is nil where the row was read without it, and where the draft becomes the output.
        case completed(output: JSON?)
        case failed(code: String, message: String)
        case canceled(reason: String)
        case rejected(reason: String)
    }

    package var state: TaskState {
        switch phase {
        case .queued: .queued
        case .running(let state, _): state
        case .canceling: .canceling
        case .waiting(let wait, _): wait.state
        case .ended(.completed, _): .completed
        case .ended(.failed, _): .failed
        case .ended(.canceled, _): .canceled
        case .ended(.rejected, _): .rejected
        }
    }

    /// Tokens not used yet; below zero when more was used than allowed, nil when nobody limits it.
    package var budgetLeft: Int? { budgetTokens.map { $0 - usageTokens } }

    package var lease: Lease? {
        switch phase {
        case .running(_, let lease), .canceling(let lease, _), .waiting(_, let lease): lease
        case .queued, .ended: nil
        }
    }
}
