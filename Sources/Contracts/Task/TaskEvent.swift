package import FoundationEssentials

/// One entry of a task's history. `sequence` counts from 1 without gaps within the task and is the SSE id.
package struct TaskEvent: Sendable, Equatable {
    /// What happened. The raw values are the SSE event names.
    package enum Kind: String, Sendable, CaseIterable {
        case created = "task.created"
        case dispatched = "task.dispatched"
        case progress = "task.progress"
        case retrying = "task.retrying"
        case stageCompleted = "task.stage_completed"
        case reworking = "task.reworking"
        case executionRequested = "task.execution_requested"
        case executed = "task.executed"
        case reviewRequested = "task.review_requested"
        case reviewDecided = "task.review_decided"
        case approvalRequested = "task.approval_requested"
        case approved = "task.approved"
        case canceling = "task.canceling"
        case completed = "task.completed"
        case failed = "task.failed"
        case canceled = "task.canceled"
        case rejected = "task.rejected"
        case escalated = "task.escalated"
        case resolved = "task.resolved"

        /// The last event a task ever has.
        package var endsTask: Bool {
            switch self {
            case .completed, .failed, .canceled, .rejected: true
            case .created, .dispatched, .progress, .retrying, .stageCompleted, .canceling, .escalated: false
            case .executionRequested, .executed: false
            case .reworking, .reviewRequested, .reviewDecided, .approvalRequested, .approved, .resolved: false
            }
        }
    }

    package let task: TaskID
    package let tenant: TenantID
    package let sequence: Int
    package let kind: Kind
    package let at: Date
    package let attempt: Int
    /// An object with what belongs to the kind.
    package let data: JSON

    package init(
        task: TaskID, tenant: TenantID, sequence: Int, kind: Kind, at: Date, attempt: Int, data: JSON
    ) {
        self.task = task
        self.tenant = tenant
        self.sequence = sequence
        self.kind = kind
        self.at = at
        self.attempt = attempt
        self.data = data
    }
}

extension TaskEvent: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        task = try body.taskID("task_id")
        tenant = try body.name("tenant")
        sequence = try body.int("seq")
        guard let kind = Kind(rawValue: try body.string("type")) else { throw body.error("type", "is unknown") }
        self.kind = kind
        at = try body.timestamp("at")
        attempt = try body.int("attempt")
        data = body.optional("data") ?? .emptyObject
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("task_id", task.description)
        writer.field("tenant", tenant.text)
        writer.field("seq", sequence)
        writer.field("type", kind.rawValue)
        writer.field("at", Timestamp.text(at))
        writer.field("attempt", attempt)
        writer.field("data", data)
    }
}
