/// One thing that may be allowed or refused. The raw values stand in audit entries and in API documents.
package enum Permission: String, Sendable, CaseIterable {
    case taskCreate = "task.create"
    case taskRead = "task.read"
    case taskCancel = "task.cancel"
    case agentRead = "agent.read"
    case dlqReplay = "dlq.replay"
    case budgetConfigure = "budget.configure"
    case learningApprove = "learning.approve"
    case breakerReset = "breaker.reset"
}
