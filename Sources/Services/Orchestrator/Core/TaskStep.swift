internal import Contracts
internal import FoundationEssentials

/// One step of the machine under construction: the task as it will be, and the effects so far.
struct TaskStep {
    var task: TaskRecord
    var effects: [TaskMachine.Effect] = []
    let context: TaskMachine.Context

    init(_ task: TaskRecord, _ context: TaskMachine.Context) {
        self.task = task
        self.context = context
        self.task.updatedAt = context.now
    }

    var stage: Stage { context.workflow.stages[task.stage] }

    /// Appends the next event of the history.
    mutating func record(_ kind: TaskEvent.Kind, _ data: (inout JSONWriter) -> Void) {
        task.eventSequence += 1
        let event = TaskEvent(
            task: task.id, tenant: task.tenant, sequence: task.eventSequence, kind: kind, at: context.now,
            attempt: task.attempt, data: JSONWriter.object(data)
        )
        effects.append(.record(event))
    }

    mutating func dispatch(token: String, input: JSON, prompt: RolePrompt?, previous: JSON?) {
        task.attempt += 1
        task.stageAttempt += 1
        task.progressSeen = 0
        task.attemptTokens = 0
        task.promptVersion = prompt?.version
        let deadline = context.now.addingTimeInterval(TimeInterval(task.overrides.timeoutSeconds))
        let lease = TaskRecord.Lease(token: token, dispatchedAt: context.now, deadline: deadline)
        task.phase = .running(stage.kind.state, lease)
        record(.dispatched) { [task, stage] in
            $0.field("stage", stage.name)
            $0.field("role", task.role.text)
            $0.field("deadline", Timestamp.text(deadline))
            $0.field(ifPresent: "prompt_version", task.promptVersion)
        }
        let item = TaskMachine.workItem(task, lease, stage: stage, input: input, prompt: prompt, previous: previous)
        effects.append(.hand(item))
    }

    mutating func apply(_ report: AgentReport) {
        task.agent = report.agent
        count(report.body.usage)
        switch report.body {
        case .progress(let number, let message, let data, _):
            progress(number, message, data, by: report.agent)
            if let left = task.budgetLeft, left < 0 {
                effects.append(.stop(notice("The task's budget is used up.")))
                end(budgetExhausted)
            }
        case .completed(let output, _): completeStage(output)
        case .failed(let failure): fail(failure)
        case .rejected(let reason, _): end(.rejected(reason: reason))
        case .escalated(let reason, _): escalate(EscalationCause(.agent, reason: reason))
        }
    }

    /// Agents report what the attempt has used since its beginning, so that a report lost or seen twice does no harm.
    private mutating func count(_ usage: AgentReport.Usage?) {
        guard let tokens = usage?.tokens, tokens > task.attemptTokens else { return }
        task.usageTokens += tokens - task.attemptTokens
        task.attemptTokens = tokens
    }

    /// How a task ends that may not go on for want of tokens.
    var budgetExhausted: TaskRecord.Ending {
        .failed(
            code: "budget_exhausted",
            message: "The task's budget of \(task.budgetTokens ?? 0) tokens is used up: \(task.usageTokens) were "
                + "used. Submit it again with more budget_tokens."
        )
    }

    var isBudgetUsedUp: Bool { task.budgetLeft.map { $0 <= 0 } ?? false }

    private mutating func progress(_ number: Int, _ message: String, _ data: JSON?, by agent: AgentID) {
        task.progressSeen = number
        record(.progress) {
            $0.field("message", message)
            $0.field("agent", agent.text)
            $0.field(ifPresent: "data", data)
        }
    }

    /// Another attempt after a wait, or the end when the failure or the number of attempts allows no other.
    mutating func fail(_ failure: AgentReport.Failure) {
        guard failure.isRetryable, task.stageAttempt < task.overrides.attemptMax else {
            let after = failure.isRetryable ? " (after \(task.stageAttempt) attempts)" : ""
            return giveUp(code: failure.code, message: failure.message + after)
        }
        let wished = min(TimeInterval(failure.retryAfterSeconds ?? 0), TaskMachine.retryAfterMax)
        tryAgain(code: failure.code, message: failure.message, after: max(backoff(after: task.stageAttempt), wished))
    }

    /// The end, unless the workflow wants somebody to look at it first.
    mutating func giveUp(code: String, message: String) {
        guard context.workflow.escalatesOnFailure else { return end(.failed(code: code, message: message)) }
        escalate(EscalationCause(.failure, reason: "\(code): \(message)"))
    }

    private mutating func tryAgain(code: String, message: String, after wait: TimeInterval) {
        if isBudgetUsedUp { return end(budgetExhausted) }
        let runAt = context.now.addingTimeInterval(wait)
        record(.retrying) { [task] in
            $0.field("code", code)
            $0.field("message", message)
            $0.field("next_attempt_at", Timestamp.text(runAt))
            $0.field("attempts_left", task.overrides.attemptMax - task.stageAttempt)
            $0.field(ifPresent: "prompt_version", task.promptVersion)
        }
        effects.append(.free(task.role))
        queue(at: runAt)
    }

    /// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
    ///
    /// - Parameter attempts: made until now, from 1.
    func backoff(after attempts: Int) -> TimeInterval {
        let doublings = min(attempts - 1, 30)
        let ceiling = min(TaskMachine.backoffBase * Double(1 << doublings), TaskMachine.backoffCap)
        return ceiling * context.jitter
    }

    mutating func queue(at runAt: Date) {
        task.phase = .queued(runAt: runAt)
        effects.append(.queue(task.role, runAt: runAt))
    }

    /// The holder may still be at work, so it is told to stop before somebody else starts.
    mutating func timeOut() {
        effects.append(.stop(notice("The attempt passed its deadline.")))
        fail(
            AgentReport.Failure(
                code: "deadline_exceeded",
                message: "No result came within \(task.overrides.timeoutSeconds) s of dispatch.", isRetryable: true
            )
        )
    }

    /// Nobody was sent the work, so this was no try. Its number is used up all the same: should the work be on its way
    /// after all, what is reported of it is lost. It doubles the wait, too, since the tries stay as many as they were.
    mutating func takeBack() {
        // Who has reported was sent it.
        guard task.progressSeen == 0 else { return timeOut() }
        let wait = backoff(after: task.attempt)
        task.stageAttempt -= 1
        effects.append(.stop(notice("The attempt passed its deadline.")))
        effects.append(.withdraw(attempt: task.attempt))
        tryAgain(code: "not_sent", message: "The bus had not taken the work by the deadline.", after: wait)
    }

    /// What an agent could not read, or nobody could read of it: waiting for the deadline would help nobody.
    mutating func bury(_ letter: TaskMachine.BuriedMessage) {
        effects.append(.stop(notice("A message of the attempt became a dead letter.")))
        escalate(
            EscalationCause(
                .deadLetter, reason: "Dead letter \(letter.id) on \(letter.subject): \(letter.reason)."))
    }

    mutating func startCanceling(_ lease: TaskRecord.Lease, _ reason: String) {
        var lease = lease
        lease.deadline = context.now.addingTimeInterval(TaskMachine.cancelGrace)
        task.phase = .canceling(lease, reason: reason)
        record(.canceling) {
            $0.field("reason", reason)
            $0.field("deadline", Timestamp.text(lease.deadline))
        }
        effects.append(.stop(notice(reason)))
    }

    /// Progress changes nothing any more; any outcome ends the task as canceled.
    mutating func finishCanceling(_ report: AgentReport, _ reason: String) {
        count(report.body.usage)
        switch report.body {
        case .progress(let number, let message, let data, _): progress(number, message, data, by: report.agent)
        case .completed, .failed, .rejected, .escalated: end(.canceled(reason: reason))
        }
    }

    mutating func end(_ ending: TaskRecord.Ending) {
        if task.state.occupiesAgent { effects.append(.free(task.role)) }
        task.phase = .ended(ending, at: context.now)
        task.plan = nil
        switch ending {
        case .completed(let output):
            record(.completed) { [task] in
                $0.field("usage_tokens", task.usageTokens)
                $0.field("output_bytes", output?.bytes.count ?? 0)
                $0.field(ifPresent: "prompt_version", task.promptVersion)
            }
        case .failed(let code, let message):
            record(.failed) { [task] in
                $0.field("code", code)
                $0.field("message", message)
                if task.usageTokens > 0 { $0.field("usage_tokens", task.usageTokens) }
                $0.field(ifPresent: "prompt_version", task.promptVersion)
            }
        case .canceled(let reason): record(.canceled) { $0.field("reason", reason) }
        case .rejected(let reason):
            record(.rejected) { [task] in
                $0.field("reason", reason)
                $0.field(ifPresent: "prompt_version", task.promptVersion)
            }
        }
    }

    private func notice(_ reason: String) -> CancelNotice {
        CancelNotice(task: task.id, attempt: task.attempt, reason: reason)
    }
}
