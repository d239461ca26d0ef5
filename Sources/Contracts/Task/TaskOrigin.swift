package import FoundationEssentials

/// What a task was submitted as: it never changes, and every state of the task shares it.
///
/// A class because records are copied often, and these are most of their fields.
package final class TaskOrigin: Sendable, Equatable {
    package let id: TaskID
    package let tenant: TenantID
    package let project: ProjectID
    /// The `sub` of the token that submitted it.
    package let principal: String
    package let name: String?
    package let workflow: WorkflowName
    package let workflowVersion: Int
    package let priority: Int
    package let labels: [String: String]
    package let traceparent: String?
    /// Where the last event is sent.
    package let callback: WebhookURL?
    package let createdAt: Date
    /// The task on whose behalf an agent submitted this one; its budget is part of that one's.
    package let parent: TaskID?
    /// Tokens its agents may use, all attempts together; nil when nobody limits it.
    package let budgetTokens: Int?

    package init(
        id: TaskID, tenant: TenantID, project: ProjectID, principal: String, name: String?, workflow: WorkflowName,
        workflowVersion: Int, priority: Int, labels: [String: String], traceparent: String?, callback: WebhookURL?,
        createdAt: Date, parent: TaskID?, budgetTokens: Int?
    ) {
        self.id = id
        self.tenant = tenant
        self.project = project
        self.principal = principal
        self.name = name
        self.workflow = workflow
        self.workflowVersion = workflowVersion
        self.priority = priority
        self.labels = labels
        self.traceparent = traceparent
        self.callback = callback
        self.createdAt = createdAt
        self.parent = parent
        self.budgetTokens = budgetTokens
    }

    package static func == (one: TaskOrigin, other: TaskOrigin) -> Bool {
        one === other
            || one.id == other.id && one.tenant == other.tenant && one.project == other.project
                && one.principal == other.principal && one.name == other.name && one.workflow == other.workflow
                && one.workflowVersion == other.workflowVersion && one.priority == other.priority
                && one.labels == other.labels && one.traceparent == other.traceparent && one.callback == other.callback
                && one.createdAt == other.createdAt && one.parent == other.parent
                && one.budgetTokens == other.budgetTokens
    }
}

extension TaskRecord {
    package var id: TaskID { origin.id }
    package var tenant: TenantID { origin.tenant }
    package var project: ProjectID { origin.project }
    package var principal: String { origin.principal }
    package var name: String? { origin.name }
    package var workflow: WorkflowName { origin.workflow }
    package var workflowVersion: Int { origin.workflowVersion }
    package var priority: Int { origin.priority }
    package var labels: [String: String] { origin.labels }
    package var traceparent: String? { origin.traceparent }
    package var callback: WebhookURL? { origin.callback }
    package var createdAt: Date { origin.createdAt }
    package var parent: TaskID? { origin.parent }
    package var budgetTokens: Int? { origin.budgetTokens }
}
