internal import Contracts
internal import FoundationEssentials

/// What becomes of work whose tests the sandbox runs.
extension TaskStep {
    /// - Parameters:
    ///   - wait: nobody is asked before, because something failed that needs time.
    ///   - seconds: for the result, instead of the stage's.
    mutating func askForExecution(after wait: TimeInterval = 0, seconds: Int? = nil) {
        task.attempt += 1
        task.stageAttempt += 1
        let execution = ExecutionID(TaskID(at: context.now, random: context.random).uuid)
        let seconds = seconds ?? Int(stage.timeout.components.seconds)
        let start = context.now.addingTimeInterval(wait)
        let deadline = start.addingTimeInterval(TimeInterval(seconds))
        task.phase = .waiting(
            .execution, TaskRecord.Lease(token: execution.description, dispatchedAt: start, deadline: deadline))
        record(.executionRequested) { [task, stage] in
            $0.field("stage", stage.name)
            $0.field("execution_id", execution.description)
            $0.field("try", task.stageAttempt)
            $0.field("deadline", Timestamp.text(deadline))
        }
        effects.append(.execute(execution))
    }

    /// How the run ended: on, back to whoever can mend it, or once more.
    mutating func conclude(_ report: ExecutionReport, _ terms: ExecuteTerms) {
        let verdict = ExecutionVerdict(report.outcome, terms, guards: stage.guards)
        record(.executed) { [stage] in
            $0.field("stage", stage.name)
            $0.field("execution_id", report.execution.description)
            $0.field("status", report.outcome.status.rawValue)
            $0.field("passed", verdict == .passed)
            $0.field(ifPresent: "exit_code", report.outcome.exitCode)
            $0.field("cpu_ms", report.outcome.usage.cpuMicroseconds / 1000)
            $0.field("wall_ms", report.outcome.usage.wallMicroseconds / 1000)
            $0.field(ifPresent: "isolation", report.outcome.isolation?.tier.rawValue)
            if let line = Self.lastLine(report.outcome) { $0.field("message", line) }
        }
        switch verdict {
        case .passed: advance(withExecution(report))
        case .lacking(let failed, let why): sendBack(report, why, lacking: failed)
        case .failed(let why): sendBack(report, why, lacking: nil)
        case .void(let code, let message): executeAgain(code: code, message: message)
        }
    }

    /// No result came in time: whoever may still run it is stopped, and another try begins.
    mutating func giveUpExecution() {
        stopExecution()
        executeAgain(
            code: "deadline_exceeded",
            message: "The sandbox did not say in time how the tests ended; is a sandbox-executor running?")
    }

    /// No result came in time, but the sandbox has the run. As long as it has not had its time it goes on under its
    /// name, and is no further try; how long it may stand in line is bounded all the same.
    mutating func prolongExecution(_ standing: TaskMachine.RunStanding, _ lease: TaskRecord.Lease) {
        let seconds = TimeInterval(executionSeconds(lease))
        let nextLook = context.now.addingTimeInterval(max(seconds, TaskMachine.executionLook))
        let (message, wished): (String, Date) =
            switch standing {
            case .waiting: ("Its tests stand in line for the sandbox.", nextLook)
            case .running(let since): ("The sandbox runs its tests.", since.addingTimeInterval(seconds))
            case .ended: ("The result of its tests is on its way.", nextLook)
            }
        guard wished > context.now else { return giveUpExecution() }
        let latest = lease.executionAskedAt.addingTimeInterval(TaskMachine.executionWaitMax + seconds)
        let deadline = min(wished, latest)
        guard deadline > context.now else { return giveUpWaiting(standing, lease) }
        // The lease is moved as a whole: how long it is says how much time was asked for.
        task.phase = .waiting(
            .execution,
            TaskRecord.Lease(
                token: lease.token, dispatchedAt: deadline.addingTimeInterval(-seconds), deadline: deadline))
        record(.progress) {
            $0.field("message", message)
            $0.field("execution_id", lease.token)
            $0.field("deadline", Timestamp.text(deadline))
        }
    }

    private mutating func giveUpWaiting(_ standing: TaskMachine.RunStanding, _ lease: TaskRecord.Lease) {
        let waited = Int(context.now.timeIntervalSince(lease.executionAskedAt))
        let reason =
            switch standing {
            case .waiting, .running: "has too much to do: it lacks executors or slots."
            case .ended: "is done, but its result could not be taken: the orchestrator's log says why."
            }
        stopExecution()
        giveUp(code: "deadline_exceeded", message: "The sandbox was asked \(waited) s ago and \(reason)")
    }

    /// For the result of a run: as long as the stage says, or as somebody raised that to for each of its tries.
    private func executionSeconds(_ lease: TaskRecord.Lease) -> Int {
        let asked = Int(lease.deadline.timeIntervalSince(lease.dispatchedAt).rounded())
        return max(Int(stage.timeout.components.seconds), min(asked, Stage.executionSeconds.upperBound))
    }

    mutating func stopExecution() {
        if let execution = task.lease.flatMap({ ExecutionID($0.token) }) { effects.append(.stopExecution(execution)) }
    }

    private mutating func executeAgain(code: String, message: String) {
        guard task.stageAttempt < stage.attemptMax else {
            return giveUp(code: code, message: "\(message) (after \(task.stageAttempt) attempts)")
        }
        let wait = backoff(after: task.stageAttempt)
        let runAt = context.now.addingTimeInterval(wait)
        record(.retrying) { [task, stage] in
            $0.field("code", code)
            $0.field("message", message)
            $0.field("next_attempt_at", Timestamp.text(runAt))
            $0.field("attempts_left", stage.attemptMax - task.stageAttempt)
        }
        let seconds = task.lease.map { executionSeconds($0) }
        askForExecution(after: wait, seconds: seconds)
    }

    private mutating func sendBack(_ report: ExecutionReport, _ why: String, lacking failed: Guard?) {
        let plan = Self.plan(report, why, lacking: failed)
        guard task.rework < Workflow.reworkMax else {
            task.plan = plan
            let reason = "After \(task.rework) rounds of rework it still fails in the sandbox: \(why)"
            return escalate(
                failed.map { EscalationCause(.guardFailure, reason: reason, failedGuard: $0) }
                    ?? EscalationCause(.failure, reason: "tests_failed: \(reason)"))
        }
        rework(
            reason: why, stage: context.workflow.workStage(atOrBefore: task.stage),
            role: failed?.fixer ?? task.author?.role ?? task.role, plan: plan)
    }

    private static func plan(_ report: ExecutionReport, _ why: String, lacking failed: Guard?) -> JSON {
        JSONWriter.object { writer in
            writer.field(
                "execution",
                object: {
                    $0.field("why", why)
                    ExecutionSummary.write(report, to: &$0)
                })
            if let failed {
                writer.field("fixes", array: { writer in writer.element(object: { Self.fix(of: failed, &$0) }) })
            }
        }
    }

    // MARK: The work and what the sandbox said of it

    /// The artifact with the run beside it, under the stage's name, for those who judge it.
    private func withExecution(_ report: ExecutionReport) -> JSON {
        let fields = report.artifact.fields ?? []
        let said = fields.first { $0.name == ExecuteTerms.artifactField }?.value.fields ?? []
        return JSONWriter.object { writer in
            for field in fields where field.name != ExecuteTerms.artifactField { writer.field(field.name, field.value) }
            writer.field(
                ExecuteTerms.artifactField,
                object: { writer in
                    for field in said where field.name != stage.name { writer.field(field.name, field.value) }
                    writer.field(stage.name, object: { ExecutionSummary.write(report, to: &$0) })
                })
        }
    }

    /// The output without what only the sandbox may say, where it has a say.
    func withoutClaims(_ output: JSON) -> JSON {
        guard context.workflow.isTested, let fields = output.fields,
            fields.contains(where: { $0.name == ExecuteTerms.artifactField })
        else { return output }
        return JSONWriter.object { writer in
            for field in fields where field.name != ExecuteTerms.artifactField { writer.field(field.name, field.value) }
        }
    }

    /// What people are shown of the output in one line.
    private static func lastLine(_ outcome: SandboxOutcome) -> String? {
        if let failure = outcome.failure { return failure.message }
        let texts = [outcome.stderr, outcome.stdout].map { ExecutionSummary.end(of: $0, bytesMax: 400) }
        return texts.lazy.compactMap { $0.split(separator: "\n").last { !$0.isEmpty } }.first.map(String.init)
    }
}

extension TaskRecord.Lease {
    /// When the execution that it names was asked for, as its id says (RFC 9562, version 7), however often the lease
    /// was prolonged.
    var executionAskedAt: Date {
        guard let execution = ExecutionID(token) else { return dispatchedAt }
        let bytes = execution.uuid.uuid
        guard bytes.6 >> 4 == 7 else { return dispatchedAt }
        let milliseconds = [bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5].reduce(UInt64(0)) {
            $0 << 8 | UInt64($1)
        }
        return Date(timeIntervalSince1970: TimeInterval(milliseconds) / 1000)
    }
}
