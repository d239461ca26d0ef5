/// One thing that may be allowed or refused. The raw values stand in audit entries and in API documents.
package enum Permission: String, Sendable, CaseIterable {
    case taskCreate = "task.create"
    case taskRead = "task.read"
    case taskCancel = "task.cancel"
    case agentRead = "agent.read"
    case dlqReplay = "dlq.replay"
    case budgetUse = "budget.use"
    case budgetRead = "budget.read"
    case budgetConfigure = "budget.configure"
    case learningApprove = "learning.approve"
    case breakerRead = "breaker.read"
    case breakerReset = "breaker.reset"
    case accountManage = "account.manage"
    case auditRead = "audit.read"
    case webhookRead = "webhook.read"
    case webhookManage = "webhook.manage"
}
