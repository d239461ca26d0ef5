import Contracts
import FoundationEssentials
import OrchestratorCore

let epoch = Date(timeIntervalSince1970: 1_800_000_000)
let developer = AgentRole(literal: "developer")
let acme = TenantID(literal: "acme")
let other = TenantID(literal: "other")
let worker = AgentID(literal: "worker-1")

func context(_ seconds: Double = 0, stages: Int = 1, jitter: Double = 1) -> TaskMachine.Context {
    let stages = (0..<stages).map {
        Stage(
            name: "s\($0)", kind: .work(state: .developing), role: developer, timeout: .seconds(60), attemptMax: 3,
            guards: []
        )
    }
    let workflow = Workflow(name: WorkflowName(literal: "single"), version: 1, stages: stages)
    return TaskMachine.Context(
        now: epoch.addingTimeInterval(seconds), workflow: workflow, jitter: jitter, random: (3, 4))
}

func newTask(attemptMax: Int = 3) -> TaskRecord {
    TaskRecord(
        id: TaskID(at: epoch, random: (1, 2)), tenant: acme, project: ProjectID(literal: "p"), principal: "me",
        name: nil,
        workflow: WorkflowName(literal: "single"), workflowVersion: 1, priority: 5, labels: [:], traceparent: nil,
        createdAt: epoch, overrides: TaskRecord.Overrides(timeoutSeconds: 60, attemptMax: attemptMax), stage: 0,
        role: developer, phase: .queued(runAt: epoch), updatedAt: epoch
    )
}

func runningTask(attemptMax: Int = 3) -> TaskRecord {
    TaskMachine.admit(newTask(attemptMax: attemptMax), lease: ("lease-1", .emptyObject), context: context()).0
}

func report(_ body: AgentReport.Body, attempt: Int = 1, lease: String = "lease-1") -> TaskMachine.Event {
    .reported(AgentReport(task: newTask().id, attempt: attempt, leaseToken: lease, agent: worker, body: body))
}

func buried(attempt: Int = 1, lease: String = "lease-1") -> TaskMachine.Event {
    .buried(
        TaskMachine.BuriedMessage(
            id: "letter-1", subject: "results.developer.task", reason: "undecodable", attempt: attempt,
            leaseToken: lease))
}

let success = AgentReport.Body.completed(output: .emptyObject, usage: AgentReport.Usage(tokens: 7))
let transient = AgentReport.Body.failed(.init(code: "busy", message: "try again", isRetryable: true))
let permanent = AgentReport.Body.failed(.init(code: "bad", message: "never", isRetryable: false))

extension TaskMachine.Decision {
    var task: TaskRecord? {
        if case .changed(let task, _) = self { return task }
        return nil
    }

    /// Each effect as one word, the event's kind for a record.
    var effects: [String] {
        guard case .changed(_, let effects) = self else { return [] }
        return effects.map { effect in
            switch effect {
            case .record(let event): event.kind.rawValue
            case .hand: "hand"
            case .withdraw: "withdraw"
            case .stop: "stop"
            case .queue: "queue"
            case .free: "free"
            case .escalate: "escalate"
            case .settle: "settle"
            case .execute: "execute"
            case .stopExecution: "stop execution"
            case .review: "review"
            case .closeReview: "close"
            case .keep: "keep"
            }
        }
    }

    var reason: TaskMachine.Reason? {
        if case .unchanged(let reason) = self { return reason }
        return nil
    }
}
