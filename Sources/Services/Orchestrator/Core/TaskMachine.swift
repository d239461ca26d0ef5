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

    /// What the world told the task.
    package enum Event: Sendable, Equatable {
        /// The dispatcher hands out the next attempt, its lease named by `token`, with the role's active prompt.
        case dispatched(token: String, input: JSON, prompt: RolePrompt? = nil)
        case reported(AgentReport)
        /// Somebody with the right to do so asked for the end of the task.
        case cancelRequested(reason: String)
        /// The current lease's deadline has passed.
        case deadlinePassed
    }

    /// What a decision needs from outside.
    package struct Context: Sendable {
        package let now: Date
        package let workflow: Workflow
        /// A random number in 0..<1 that spreads retries.
        package let jitter: Double

        package init(now: Date, workflow: Workflow, jitter: Double) {
            self.now = now
            self.workflow = workflow
            self.jitter = jitter
        }
    }

    /// What the service has to carry out once the new row is committed with it.
    package enum Effect: Sendable, Equatable {
        /// Append to the history.
        case record(TaskEvent)
        /// Publish work for an agent, by way of the outbox.
        case hand(WorkItem)
        /// Ask whoever holds the attempt to stop.
        case stop(CancelNotice)
        /// The task waits for the dispatcher, from that time on.
        case queue(AgentRole, runAt: Date)
        /// A slot that the task took up is free again.
        case free(AgentRole)
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
        /// The task has ended.
        case ended
        /// The event does not apply in this state.
        case notApplicable = "not_applicable"
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
            step.dispatch(token: lease.token, input: lease.input, prompt: prompt)
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

        case (.queued(let runAt), .dispatched(let token, let input, let prompt)):
            guard runAt <= context.now else { return .unchanged(.notApplicable) }
            step.dispatch(token: token, input: input, prompt: prompt)
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
        case (.running, .dispatched): return .unchanged(.notApplicable)

        case (.canceling(let lease, let reason), .reported(let report)):
            if let reason = fence(report, task, lease) { return .unchanged(reason) }
            step.finishCanceling(report, reason)
        case (.canceling(let lease, let reason), .deadlinePassed):
            guard lease.deadline <= context.now else { return .unchanged(.notApplicable) }
            step.end(.canceled(reason: reason))
        case (.canceling, .cancelRequested), (.canceling, .dispatched): return .unchanged(.notApplicable)
        }
        return .changed(step.task, step.effects)
    }

    /// The work message of the attempt that is running; nil when none is. Derived again when the bus has lost it.
    ///
    /// - Parameter prompt: the one the attempt was handed.
    package static func workItem(
        of task: TaskRecord, input: JSON, prompt: RolePrompt? = nil, workflow: Workflow
    ) -> WorkItem? {
        guard case .running(_, let lease) = task.phase else { return nil }
        return workItem(task, lease, stage: workflow.stages[task.stage], input: input, prompt: prompt)
    }

    static func workItem(
        _ task: TaskRecord, _ lease: TaskRecord.Lease, stage: Stage, input: JSON, prompt: RolePrompt?
    ) -> WorkItem {
        WorkItem(
            task: task.id, tenant: task.tenant, workflow: task.workflow, stage: stage.name, kind: stage.kind.word,
            role: task.role, attempt: task.attempt, leaseToken: lease.token, deadline: lease.deadline,
            budgetLeft: task.budgetLeft, prompt: prompt?.content, promptVersion: prompt?.version, input: input
        )
    }

    /// Lets through only what the holder of the current lease says for the first time.
    private static func fence(_ report: AgentReport, _ task: TaskRecord, _ lease: TaskRecord.Lease) -> Reason? {
        guard report.attempt == task.attempt else { return .lost }
        guard report.leaseToken == lease.token else { return .wrongLease }
        if case .progress(let number, _, _, _) = report.body, number <= task.progressSeen { return .repeated }
        return nil
    }
}
