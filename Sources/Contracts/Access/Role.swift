/// Who somebody is to Golden, as their token says. The raw values are the `role` claim.
package enum Role: String, Sendable, CaseIterable {
    /// Runs the installation.
    case admin
    /// Keeps it healthy: replays, resets, looks everywhere.
    case `operator`
    /// Submits work and follows it.
    case developer
    /// Looks only.
    case observer
    /// A worker that may submit tasks of its own.
    case agent
    /// Came without a token; never a claim's value.
    case anonymous

    /// A role a token may carry: every one but `anonymous`.
    package init?(claim: String) {
        guard let role = Role(rawValue: claim), role != .anonymous else { return nil }
        self = role
    }

    /// What the role may do: the one table every check reads.
    package var permissions: Set<Permission> {
        switch self {
        case .admin: Set(Permission.allCases)
        case .operator:
            [
                .taskCreate, .taskRead, .taskCancel, .agentRead, .budgetUse, .budgetRead,
                .dlqRead, .dlqReplay, .breakerRead, .breakerReset, .auditRead, .limitsRead,
                .webhookRead, .webhookManage,
                .learningRead, .learningPropose,
                .reviewRead, .reviewVote,
                .taskApprove, .workflowRead, .workflowConfigure, .escalationRead, .escalationResolve,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ]
        case .developer:
            [
                .taskCreate, .taskRead, .taskCancel, .agentRead, .budgetUse, .budgetRead, .breakerRead,
                .webhookRead, .webhookManage,
                .reviewRead, .reviewVote, .workflowRead, .escalationRead,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ]
        case .observer:
            [
                .taskRead, .agentRead, .budgetRead, .breakerRead, .webhookRead, .reviewRead, .workflowRead,
                .escalationRead, .sandboxRead,
            ]
        case .agent:
            [
                .taskCreate, .taskRead, .agentRead, .budgetUse, .budgetRead, .reviewRead, .reviewVote, .workflowRead,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ]
        case .anonymous: []
        }
    }

    package func may(_ permission: Permission) -> Bool { permissions.contains(permission) }
}
