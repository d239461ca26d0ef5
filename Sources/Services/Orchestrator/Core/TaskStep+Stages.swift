internal import Contracts
internal import FoundationEssentials

/// What becomes of finished work: the next stage, another round, or a question to somebody.
extension TaskStep {
    /// The work of a stage is done; it counts when its guards hold.
    mutating func completeStage(_ output: JSON) {
        let output = withoutClaims(output)
        let failed = stage.guards.filter { !$0.holds(in: output) }
        task.author = task.agent.map {
            TaskRecord.Author(agent: $0, role: task.role, attempt: task.attempt, promptVersion: task.promptVersion)
        }
        guard let first = failed.first else { return advance(output) }
        task.draft = .new(output)
        let names = failed.map(\.rawValue).joined(separator: ", ")
        let plan = Self.plan(failed)
        task.plan = plan
        guard task.rework < Workflow.reworkMax else {
            let reason = "After \(task.rework) rounds of rework this still fails: \(names)."
            return escalate(EscalationCause(.guardFailure, reason: reason, failedGuard: first))
        }
        rework(reason: "Guards that do not hold: \(names).", stage: task.stage, role: first.fixer, plan: plan)
    }

    /// One more round, unless the budget is used up.
    mutating func rework(reason: String, stage: Int, role: AgentRole, plan: JSON) {
        if isBudgetUsedUp { return end(budgetExhausted) }
        task.rework += 1
        record(.reworking) { [task] in
            $0.field("round", task.rework)
            $0.field("rounds_left", Workflow.reworkMax - task.rework)
            $0.field("reason", reason)
            $0.field("role", role.text)
            $0.field("plan", plan)
        }
        sendBack(to: stage, role: role, plan: plan)
    }

    /// The fixed fixes of failed guards, in their order.
    private static func plan(_ failed: [Guard]) -> JSON {
        JSONWriter.object { writer in
            writer.field(
                "fixes",
                array: { writer in
                    for failed in failed { writer.element(object: { fix(of: failed, &$0) }) }
                })
        }
    }

    static func fix(of failed: Guard, _ writer: inout JSONWriter) {
        writer.field("guard", failed.rawValue)
        writer.field("role", failed.fixer.text)
        writer.field("fix", failed.fix)
    }

    /// On to the next stage, or the end.
    ///
    /// - Parameter output: nil when the work is stored already.
    mutating func advance(_ output: JSON?) {
        guard task.stage + 1 < context.workflow.stages.count else { return end(.completed(output: output)) }
        record(.stageCompleted) { [task, stage] in
            $0.field("stage", stage.name)
            $0.field(ifPresent: "prompt_version", task.promptVersion)
        }
        let next = context.workflow.stages[task.stage + 1]
        if next.kind.isWork, isBudgetUsedUp { return end(budgetExhausted) }
        if let output { task.draft = .new(output) }
        release()
        adoptLimits(of: next)
        task.stage += 1
        task.stageAttempt = 0
        task.plan = nil
        switch next.kind {
        case .work:
            task.promptVersion = nil
            task.role = next.role
            queue(at: context.now)
        case .execute: askForExecution()
        case .review: askForReview()
        case .approve: askForApproval()
        }
    }

    /// A stage's own limits follow it, where the submission did not ask for others.
    private mutating func adoptLimits(of next: Stage) {
        let seconds: (Stage) -> Int = { Int($0.timeout.components.seconds) }
        let before = context.workflow.stages[context.workflow.workStage(atOrBefore: task.stage)]
        guard next.kind.isWork else { return }
        if task.overrides.timeoutSeconds == seconds(before) { task.overrides.timeoutSeconds = seconds(next) }
        if task.overrides.attemptMax == before.attemptMax { task.overrides.attemptMax = next.attemptMax }
    }

    /// - Parameter seconds: how long; as long as the stage says when nil.
    private mutating func askForApproval(seconds: Int? = nil) {
        let seconds = seconds ?? Int(stage.timeout.components.seconds)
        let deadline = context.now.addingTimeInterval(TimeInterval(seconds))
        let question = TaskID(at: context.now, random: context.random).description
        task.phase = .waiting(
            .approval, TaskRecord.Lease(token: question, dispatchedAt: context.now, deadline: deadline))
        record(.approvalRequested) { [stage] in
            $0.field("stage", stage.name)
            $0.field("approval_id", question)
            $0.field("deadline", Timestamp.text(deadline))
        }
    }

    /// A human's answer.
    mutating func approve(_ verdict: TaskMachine.Approval, by: String) {
        switch verdict {
        case .approve(let reason):
            record(.approved) {
                $0.field("by", by)
                $0.field(ifPresent: "reason", reason)
            }
            advance(nil)
        case .reject(let reason): end(.rejected(reason: "\(reason) (\(by))"))
        }
    }

    /// Puts the task before the supervisor.
    mutating func escalate(_ cause: EscalationCause) {
        release()
        let id = EscalationID(TaskID(at: context.now, random: context.random).uuid)
        let deadline = context.now.addingTimeInterval(TaskMachine.resolutionTimeout)
        task.phase = .waiting(
            .resolution,
            TaskRecord.Lease(token: id.description, dispatchedAt: context.now, deadline: deadline)
        )
        record(.escalated) {
            $0.field("escalation_id", id.description)
            $0.field("source", cause.source.rawValue)
            $0.field("classification", cause.classification.rawValue)
            $0.field("reason", cause.reason)
            $0.field("deadline", Timestamp.text(deadline))
        }
        effects.append(.escalate(id, cause))
    }

    /// Carries a resolution out; answers why it cannot be.
    ///
    /// - Parameter usageTokens: what came to be used on the way to it.
    mutating func resolve(_ settlement: TaskMachine.Settlement, usageTokens: Int = 0) -> TaskMachine.Reason? {
        task.usageTokens += usageTokens
        switch settlement.resolution {
        case .retry, .reassign, .lowerScope: if isBudgetUsedUp { return .budgetUsedUp }
        case .raiseDeadline: if stage.kind.isWork, isBudgetUsedUp { return .budgetUsedUp }
        case .approve: if task.draft == nil { return .nothingMade }
        case .reject, .cancel: break
        }
        settle(settlement)
        record(.resolved) {
            $0.field("resolution", settlement.resolution.word.rawValue)
            $0.field("by", settlement.by)
            $0.field(ifPresent: "plan", settlement.resolution.plan)
        }
        let work = context.workflow.workStage(atOrBefore: task.stage)
        switch settlement.resolution {
        case .retry(let plan): sendBack(to: work, role: task.role, plan: plan ?? task.plan)
        case .reassign(let role, let plan): sendBack(to: work, role: role, plan: plan ?? task.plan)
        case .lowerScope(let plan): sendBack(to: work, role: task.role, plan: plan)
        case .raiseDeadline(let seconds, let plan): raiseDeadline(seconds, plan ?? task.plan, from: work)
        case .approve: advance(nil)
        case .reject(let reason): end(.rejected(reason: reason))
        case .cancel(let reason): end(.canceled(reason: reason))
        }
        return nil
    }

    /// Whoever was too slow gets more time: agents for each attempt, peers and a human for the same question.
    private mutating func raiseDeadline(_ seconds: Int, _ plan: JSON?, from work: Int) {
        switch stage.kind {
        case .work:
            task.overrides.timeoutSeconds = min(seconds, Stage.workSeconds.upperBound)
            sendBack(to: work, role: task.role, plan: plan)
        case .execute:
            task.stageAttempt = 0
            askForExecution(seconds: min(seconds, Stage.executionSeconds.upperBound))
        case .review: askForReview(seconds: min(seconds, ReviewRequest.secondsRange.upperBound))
        case .approve: askForApproval(seconds: seconds)
        }
    }

    /// Nobody resolved it: the task fails, for it must end.
    mutating func expire() {
        let reason = "Nobody resolved the escalation within \(Int(TaskMachine.resolutionTimeout / 86_400)) days."
        settle(TaskMachine.Settlement(by: TaskMachine.itself, resolution: .reject(reason: reason)))
        end(.failed(code: "escalation_expired", message: reason))
    }

    private mutating func settle(_ settlement: TaskMachine.Settlement) {
        guard let token = task.lease?.token, let id = EscalationID(token) else { return }
        effects.append(.settle(id, settlement))
    }

    mutating func sendBack(to stage: Int, role: AgentRole, plan: JSON?) {
        release()
        task.stage = stage
        task.stageAttempt = 0
        task.role = role
        task.plan = plan
        task.promptVersion = nil
        queue(at: context.now)
    }

    /// The agent at work, if any, is done with it.
    private mutating func release() {
        if task.state.occupiesAgent { effects.append(.free(task.role)) }
    }
}
