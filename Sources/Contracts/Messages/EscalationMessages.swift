/// On `supervisor.escalation`: a task was escalated.
///
/// A doorbell: the escalation itself was filed with its task, and who hears this reads it there.
package struct EscalationNotice: Sendable, Equatable {
    package let escalation: EscalationID
    package let tenant: TenantID
    package let task: TaskID
    package let attempt: Int
    /// Whose work it is about.
    package let role: AgentRole
    /// A raw value of `EscalationCause.Source`; other builds may know more of them.
    package let source: String
    package let failedGuard: Guard?

    package init(
        escalation: EscalationID, tenant: TenantID, task: TaskID, attempt: Int, role: AgentRole, source: String,
        failedGuard: Guard?
    ) {
        self.escalation = escalation
        self.tenant = tenant
        self.task = task
        self.attempt = attempt
        self.role = role
        self.source = source
        self.failedGuard = failedGuard
    }

    /// What the stream deduplicates by.
    package var messageID: String { "escalation.\(escalation)" }
}

extension EscalationNotice: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        escalation = try body.escalationID("escalation_id")
        tenant = try body.name("tenant")
        task = try body.taskID("task_id")
        attempt = try body.int("attempt")
        role = try body.name("role")
        source = try body.bounded("source", bytesMax: 100)
        failedGuard = try body.optionalString("guard").flatMap { Guard(rawValue: $0) }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("escalation_id", escalation.description)
        writer.field("tenant", tenant.text)
        writer.field("task_id", task.description)
        writer.field("attempt", attempt)
        writer.field("role", role.text)
        writer.field("source", source)
        writer.field(ifPresent: "guard", failedGuard?.rawValue)
    }
}

/// On `supervisor.resolution.<task>`: the supervisor decided what becomes of an escalated task.
///
/// Orchestrators carry out what stands in the escalation's row and nothing else, so a forged one of these does nothing.
package struct ResolutionNotice: Sendable, Equatable {
    package let escalation: EscalationID
    package let tenant: TenantID
    package let task: TaskID
    package let resolution: Resolution

    package init(escalation: EscalationID, tenant: TenantID, task: TaskID, resolution: Resolution) {
        self.escalation = escalation
        self.tenant = tenant
        self.task = task
        self.resolution = resolution
    }

    /// What the stream deduplicates by.
    package var messageID: String { "resolution.\(escalation)" }
}

extension ResolutionNotice: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        escalation = try body.escalationID("escalation_id")
        tenant = try body.name("tenant")
        task = try body.taskID("task_id")
        resolution = try Resolution(from: &body)
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("escalation_id", escalation.description)
        writer.field("tenant", tenant.text)
        writer.field("task_id", task.description)
        resolution.write(to: &writer)
    }
}

extension JSONReader {
    package mutating func escalationID(_ field: String) throws(JSONError) -> EscalationID {
        guard let id = EscalationID(try string(field)) else { throw error(field, "must be a UUID") }
        return id
    }
}
