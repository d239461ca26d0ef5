internal import Contracts
internal import FoundationEssentials
internal import Storage

/// A task as the API shows it.
enum TaskView {
    /// Without input and output: lists, and the answer to a submission.
    static func summary(_ task: TaskRecord, workflow: Workflow?) -> JSON {
        JSONWriter.object { write(task, workflow, to: &$0) }
    }

    /// - Parameter reviews: its rounds, the first first.
    static func document(_ document: TaskDocument, workflow: Workflow?, reviews: [ReviewSession]) -> JSON {
        JSONWriter.object { writer in
            write(document.task, workflow, to: &writer)
            writer.field("input", document.input)
            writer.field(ifPresent: "output", document.output)
            writer.field(ifPresent: "draft", document.draft)
            guard !reviews.isEmpty else { return }
            writer.field(
                "reviews", array: { for session in reviews { $0.element(object: { write(session, to: &$0) }) } })
        }
    }

    private static func write(_ session: ReviewSession, to writer: inout JSONWriter) {
        writer.field("session_id", session.id.description)
        writer.field("round", session.round)
        writer.field("status", session.status.rawValue)
        guard case .decided(let decision) = session.phase else { return }
        writer.field("score", decimal: decision.outcome.score)
        writer.field(ifPresent: "summary", decision.outcome.summary)
    }

    private static func write(_ task: TaskRecord, _ workflow: Workflow?, to writer: inout JSONWriter) {
        writer.field("id", task.id.description)
        writer.field("tenant", task.tenant.text)
        writer.field("project", task.project.text)
        writer.field(ifPresent: "name", task.name)
        writer.field("workflow", task.workflow.text)
        writer.field("workflow_version", task.workflowVersion)
        writer.field("state", task.state.rawValue)
        writer.field("stage", workflow?.stages[task.stage].name ?? String(task.stage))
        writer.field("role", task.role.text)
        writer.field("priority", task.priority)
        writer.field("attempt", task.attempt)
        writer.field("max_attempts", task.overrides.attemptMax)
        writer.field("timeout_seconds", task.overrides.timeoutSeconds)
        writer.field(
            "labels",
            object: { writer in
                for (name, value) in task.labels.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
            })
        writer.field(ifPresent: "parent_id", task.parent?.description)
        writer.field(ifPresent: "budget_tokens", task.budgetTokens)
        writer.field(ifPresent: "callback_url", task.callback?.description)
        writer.field("usage_tokens", task.usageTokens)
        writer.field(ifPresent: "prompt_version", task.promptVersion)
        writer.field(ifPresent: "agent", task.agent?.text)
        writer.field("rework", task.rework)
        if task.reviewRound > 0 { writer.field("review_round", task.reviewRound) }
        writer.field(ifPresent: "plan", task.plan)
        writer.field("created_at", Timestamp.text(task.createdAt))
        writer.field("updated_at", Timestamp.text(task.updatedAt))
        writePhase(task.phase, to: &writer)
    }

    private static func writePhase(_ phase: TaskRecord.Phase, to writer: inout JSONWriter) {
        switch phase {
        case .queued(let runAt): writer.field("run_at", Timestamp.text(runAt))
        case .running(_, let lease): writer.field("deadline", Timestamp.text(lease.deadline))
        case .canceling(let lease, let reason):
            writer.field("deadline", Timestamp.text(lease.deadline))
            writer.field("cancel_reason", reason)
        case .waiting(let wait, let lease):
            writer.field("deadline", Timestamp.text(lease.deadline))
            switch wait {
            case .execution: writer.field("execution_id", lease.token)
            case .review: writer.field("review_session_id", lease.token)
            case .approval: writer.field("approval_id", lease.token)
            case .resolution: writer.field("escalation_id", lease.token)
            }
        case .ended(let ending, let at):
            writer.field("ended_at", Timestamp.text(at))
            switch ending {
            case .completed: break
            case .failed(let code, let message): writeError(code, message, to: &writer)
            case .rejected(let reason): writeError("rejected", reason, to: &writer)
            case .canceled(let reason): writer.field("cancel_reason", reason)
            }
        }
    }

    private static func writeError(_ code: String, _ message: String, to writer: inout JSONWriter) {
        writer.field(
            "error",
            object: {
                $0.field("code", code)
                $0.field("message", message)
            })
    }

    /// A page of a history, and how to get the next one.
    static func events(_ events: [TaskEvent], isLastPage: Bool) -> JSON {
        JSONWriter.object { writer in
            writer.field("events", array: { writer in for event in events { writer.element(event.json) } })
            if !isLastPage { writer.field(ifPresent: "next_after", events.last?.sequence) }
            writer.field("ended", events.last?.kind.endsTask ?? false)
        }
    }
}
