package import Contracts
package import FoundationEssentials

/// The task state machine: `(state, event, now) -> (state, [Effect])`, without clock, randomness or I/O.
///
/// Everything that happens to a task goes through `decide`; the service loads the row, calls it, and commits the new
/// row together with the effects' rows. States and arrows are drawn at `TaskState`.
package enum TaskMachine {
    /// How long the holder of a lease has to stop after a cancellation.
    package static let cancelGrace: TimeInterval = 10
    /// Waits between attempts: full jitter up to `1 s · 2^n`, at most 5 minutes.
    package static let backoffBase: TimeInterval = 1
    package static let backoffCap: TimeInterval = 300
    /// What an agent may wish to wait, at most: a day.
    package static let retryAfterMax: TimeInterval = 86_400
    /// How long an escalation may wait; a task nobody cares for that long fails.
    package static let resolutionTimeout: TimeInterval = 7 * 86_400
    /// How long after the reviewers' deadline their decision may come; what nobody has decided by then is escalated.
    package static let reviewGrace: TimeInterval = 60
    /// Who closes an escalation whose task ended without anybody's resolution.
    static let itself = "orchestrator"
    /// How long a run may stand in line at the sandbox, besides the time of its stage.
    package static let executionWaitMax: TimeInterval = 3600
    /// How soon a run that stands in line is looked at again, at the earliest.
    package static let executionLook: TimeInterval = 60

    /// What the world told the task.
    package enum Event: Sendable, Equatable {
        /// The dispatcher hands out the next attempt, its lease named by `token`, with the role's active prompt.
        case dispatched(token: String, input: JSON, prompt: RolePrompt? = nil, previous: JSON? = nil)
        case reported(AgentReport)
        /// Somebody with the right to do so asked for the end of the task.
        case cancelRequested(reason: String)
        /// The current lease's deadline has passed.
        case deadlinePassed
        /// The same, of an attempt whose work has not left the outbox: nobody was sent it.
        case unsent(attempt: Int)
        /// The same, of a run that the sandbox has taken on.
        case unfinished(ExecutionID, RunStanding)
        /// The run of the work's tests has ended.
        case executed(ExecutionReport)
        /// The peers' session has an outcome.
        case reviewDecided(ReviewDecision)
        /// A human answered the question named `question`; whichever is open when nil.
        case approvalGiven(question: String?, by: String, verdict: Approval)
        /// Somebody with the right to do so decided what becomes of an escalated task. Its analyst used so many tokens.
        case escalationResolved(EscalationID, by: String, Resolution, usageTokens: Int = 0)
        /// A message of an attempt became a dead letter.
        case buried(BuriedMessage)
    }

    /// A dead letter that held the lease of an attempt: its work, or what was reported about it.
    package struct BuriedMessage: Sendable, Equatable {
        package let id: String
        package let subject: String
        package let reason: String
        package let attempt: Int
        package let leaseToken: String

        package init(id: String, subject: String, reason: String, attempt: Int, leaseToken: String) {
            self.id = id
            self.subject = subject
            self.reason = reason
            self.attempt = attempt
            self.leaseToken = leaseToken
        }
    }

    /// How far the sandbox is with a run.
    package enum RunStanding: Sendable, Equatable {
        /// It stands in line.
        case waiting
        case running(since: Date)
        /// Its result is on its way.
        case ended
    }

    /// What a human says to work that waits for approval.
    package enum Approval: Sendable, Equatable {
        case approve(reason: String?)
        case reject(reason: String)
    }

    /// What a decision needs from outside.
    package struct Context: Sendable {
        package let now: Date
        package let workflow: Workflow
        /// A random number in 0..<1 that spreads retries.
        package let jitter: Double
        /// Random bits for the name of a question or an escalation.
        package let random: (UInt64, UInt64)

        package init(now: Date, workflow: Workflow, jitter: Double, random: (UInt64, UInt64)) {
            self.now = now
            self.workflow = workflow
            self.jitter = jitter
            self.random = random
        }
    }

    /// What the service has to carry out once the new row is committed with it.
    package enum Effect: Sendable, Equatable {
        /// Append to the history.
        case record(TaskEvent)
        /// Publish work for an agent, by way of the outbox.
        case hand(WorkItem)
        /// Take the attempt's work out of the outbox with the row, so that nobody is sent it any more.
        case withdraw(attempt: Int)
        /// Ask whoever holds the attempt to stop.
        case stop(CancelNotice)
        /// Ask the sandbox for the execution that the row now waits for, when its time has come.
        case execute(ExecutionID)
        /// Nobody waits for the execution any more.
        case stopExecution(ExecutionID)
        /// Ask the peer hub for the session that the row now waits for.
        case review(ReviewID)
        /// Tell the peer hub that nobody waits for the session any more.
        case closeReview(ReviewCancellation)
        /// Keep with the row what a review said of the prompt that the work was done by.
        case keep(PromptReview)
        /// The task waits for the dispatcher, from that time on.
        case queue(AgentRole, runAt: Date)
        /// A slot that the task took up is free again.
        case free(AgentRole)
        /// File the escalation with the row.
        case escalate(EscalationID, EscalationCause)
        /// Close the escalation with the row: it was resolved, or its task ended otherwise.
        case settle(EscalationID, Settlement)
    }

    /// How an escalation ended.
    package struct Settlement: Sendable, Equatable {
        package let by: String
        package let resolution: Resolution
    }

    package enum Decision: Sendable, Equatable {
        case changed(TaskRecord, [Effect])
        case unchanged(Reason)
    }

    /// Why an event changed nothing. These are outcomes to count, not errors.
    package enum Reason: String, Sendable {
        /// It belongs to an attempt that is no longer the current one.
        case lost
        /// It does not carry the current lease's token.
        case wrongLease = "wrong_lease"
        /// This progress report was seen before.
        case repeated
        /// Progress beyond what one attempt may report.
        case tooMuch = "too_much"
        /// The task has ended.
        case ended
        /// The event does not apply in this state.
        case notApplicable = "not_applicable"
        /// There is nothing to approve: no stage has made anything.
        case nothingMade = "nothing_made"
        /// The task's budget is used up, so no agent may go on with it.
        case budgetUsedUp = "budget_used_up"
    }

    /// A new task and its first effects. With `lease`, it is dispatched in the same breath.
    package static func admit(
        _ task: TaskRecord, lease: (token: String, input: JSON)?, prompt: RolePrompt? = nil, context: Context
    ) -> (TaskRecord, [Effect]) {
        var step = TaskStep(task, context)
        step.record(.created) {
            $0.field("workflow", task.workflow.text)
            $0.field("role", task.role.text)
        }
        if let lease {
            step.dispatch(token: lease.token, input: lease.input, prompt: prompt, previous: nil)
        } else {
            step.effects.append(.queue(task.role, runAt: context.now))
        }
        return (step.task, step.effects)
    }

    /// The whole machine.
    package static func decide(_ task: TaskRecord, _ event: Event, context: Context) -> Decision {
        var step = TaskStep(task, context)
        switch (task.phase, event) {
        case (.ended, _): return .unchanged(.ended)

        case (.queued(let runAt), .dispatched(let token, let input, let prompt, let previous)):
            guard runAt <= context.now else { return .unchanged(.notApplicable) }
            step.dispatch(token: token, input: input, prompt: prompt, previous: previous)
        case (.queued, .cancelRequested(let reason)): step.end(.canceled(reason: reason))
        case (.queued, .reported): return .unchanged(.lost)
        case (.queued, .deadlinePassed): return .unchanged(.notApplicable)

        case (.running(_, let lease), .reported(let report)):
            if let reason = fence(report, task, lease) { return .unchanged(reason) }
            step.apply(report)
        case (.running(_, let lease), .cancelRequested(let reason)): step.startCanceling(lease, reason)
        case (.running(_, let lease), .deadlinePassed):
            guard lease.deadline <= context.now else { return .unchanged(.notApplicable) }
            step.timeOut()
        case (.running(_, let lease), .unsent(let attempt)):
            guard attempt == task.attempt else { return .unchanged(.lost) }
            guard lease.deadline <= context.now else { return .unchanged(.notApplicable) }
            step.takeBack()
        case (.running(_, let lease), .buried(let letter)):
            guard letter.attempt == task.attempt else { return .unchanged(.lost) }
            guard LeaseToken.matches(letter.leaseToken, lease.token) else { return .unchanged(.wrongLease) }
            step.bury(letter)
        case (.queued, .buried), (.canceling, .buried): return .unchanged(.lost)
        case (.running, .dispatched): return .unchanged(.notApplicable)

        case (.canceling(let lease, let reason), .reported(let report)):
            if let reason = fence(report, task, lease) { return .unchanged(reason) }
            step.finishCanceling(report, reason)
        case (.canceling(let lease, let reason), .deadlinePassed):
            guard lease.deadline <= context.now else { return .unchanged(.notApplicable) }
            step.end(.canceled(reason: reason))
        case (.canceling, .cancelRequested), (.canceling, .dispatched): return .unchanged(.notApplicable)

        case (.waiting(let wait, let lease), _):
            if let reason = answer(event, wait, lease, now: context.now, &step) { return .unchanged(reason) }
        case (_, .reviewDecided), (_, .executed), (_, .unsent), (_, .unfinished): return .unchanged(.lost)
        case (_, .approvalGiven), (_, .escalationResolved): return .unchanged(.notApplicable)
        }
        return .changed(step.task, step.effects)
    }

    /// What happens to a task that nobody works on; answers why nothing did.
    private static func answer(
        _ event: Event, _ wait: TaskRecord.Wait, _ lease: TaskRecord.Lease, now: Date, _ step: inout TaskStep
    ) -> Reason? {
        switch (wait, event) {
        case (.execution, .executed(let report)):
            guard report.execution.description == lease.token, case .execute(let terms) = step.stage.kind else {
                return .lost
            }
            step.conclude(report, terms)
        case (.execution, .cancelRequested(let reason)):
            step.stopExecution()
            step.end(.canceled(reason: reason))
        case (.execution, .deadlinePassed):
            guard lease.deadline <= now else { return .notApplicable }
            step.giveUpExecution()
        case (.execution, .unfinished(let execution, let standing)):
            guard execution.description == lease.token else { return .lost }
            guard lease.deadline <= now else { return .notApplicable }
            step.prolongExecution(standing, lease)
        case (.review, .reviewDecided(let decision)):
            guard decision.session.description == lease.token, decision.task == step.task.id else { return .lost }
            step.conclude(decision)
        case (.review, .cancelRequested(let reason)):
            step.closeReview(reason)
            step.end(.canceled(reason: reason))
        case (.review, .deadlinePassed):
            guard lease.deadline <= now else { return .notApplicable }
            step.giveUpReview()
        case (.approval, .approvalGiven(let question, let by, let verdict)):
            guard question == nil || question == lease.token else { return .lost }
            step.approve(verdict, by: by)
        case (.approval, .cancelRequested(let reason)): step.end(.canceled(reason: reason))
        case (.approval, .deadlinePassed):
            guard lease.deadline <= now else { return .notApplicable }
            step.escalate(
                EscalationCause(
                    .approvalDeadline,
                    reason: "Nobody approved or rejected the work until \(Timestamp.text(lease.deadline))."
                )
            )
        case (.resolution, .escalationResolved(let id, let by, let resolution, let tokens)):
            guard id.description == lease.token else { return .lost }
            return step.resolve(Settlement(by: by, resolution: resolution), usageTokens: tokens)
        case (.resolution, .cancelRequested(let reason)):
            return step.resolve(Settlement(by: itself, resolution: .cancel(reason: reason)))
        case (.resolution, .deadlinePassed):
            guard lease.deadline <= now else { return .notApplicable }
            step.expire()
        case (_, .reported), (_, .buried), (_, .reviewDecided), (_, .executed), (_, .unsent), (_, .unfinished):
            return .lost
        case (_, .dispatched), (_, .approvalGiven), (_, .escalationResolved): return .notApplicable
        }
        return nil
    }

    /// The work message of the attempt that is running; nil when none is. Derived again when the bus has lost it.
    ///
    /// - Parameter prompt: the one the attempt was handed.
    package static func workItem(
        of task: TaskRecord, input: JSON, prompt: RolePrompt? = nil, previous: JSON?, workflow: Workflow
    ) -> WorkItem? {
        guard case .running(_, let lease) = task.phase else { return nil }
        let stage = workflow.stages[task.stage]
        return workItem(task, lease, stage: stage, input: input, prompt: prompt, previous: previous)
    }

    /// What the peer hub is asked while the task waits for its peers; nil when it does not. Asked again it is the same
    /// session.
    ///
    /// - Parameters:
    ///   - artifact: the task's draft.
    ///   - owner: of the agent who made it.
    package static func reviewRequest(
        of task: TaskRecord, artifact: JSON, owner: String, workflow: Workflow
    ) -> ReviewRequest? {
        guard case .waiting(.review, let lease) = task.phase, let session = ReviewID(lease.token),
            case .review(let terms) = workflow.stages[task.stage].kind, let author = task.author
        else { return nil }
        let seconds = lease.deadline.timeIntervalSince(lease.dispatchedAt) - reviewGrace
        return ReviewRequest(
            session: session, tenant: task.tenant, task: task.id, attempt: author.attempt, round: task.reviewRound,
            author: author.agent.text, authorOwner: owner, terms: terms,
            timeoutSeconds: max(Int(seconds.rounded()), 1), budgetLeft: task.budgetLeft, artifact: artifact
        )
    }

    static func workItem(
        _ task: TaskRecord, _ lease: TaskRecord.Lease, stage: Stage, input: JSON, prompt: RolePrompt?,
        previous: JSON?
    ) -> WorkItem {
        WorkItem(
            task: task.id, tenant: task.tenant, workflow: task.workflow, stage: stage.name, kind: stage.kind.word,
            role: task.role, attempt: task.attempt, leaseToken: lease.token, deadline: lease.deadline,
            budgetLeft: task.budgetLeft, prompt: prompt?.content, promptVersion: prompt?.version, input: input,
            plan: task.plan, previous: previous
        )
    }

    /// Lets through only what the holder of the current lease says for the first time.
    private static func fence(_ report: AgentReport, _ task: TaskRecord, _ lease: TaskRecord.Lease) -> Reason? {
        guard report.attempt == task.attempt else { return .lost }
        guard LeaseToken.matches(report.leaseToken, lease.token) else { return .wrongLease }
        if case .progress(let number, _, _, _) = report.body {
            if number <= task.progressSeen { return .repeated }
            if number > AgentReport.progressMax { return .tooMuch }
        }
        return nil
    }
}
