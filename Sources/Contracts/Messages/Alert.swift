package import FoundationEssentials

/// How much something presses. The raw values are stored, and stand in `alerts.<severity>`.
package enum Severity: String, Sendable, CaseIterable {
    case info, warning, critical
}

/// On `alerts.<severity>`: something that people should look at.
package struct Alert: Sendable, Equatable {
    /// A stable word for what it is.
    package let name: String
    package let severity: Severity
    /// One sentence.
    package let summary: String
    /// Whose it is; nil for what is the installation's. So with what it is about.
    package let tenant: TenantID?
    package let task: TaskID?
    package let escalation: EscalationID?
    /// Since when.
    package let since: Date

    package init(
        name: String, severity: Severity, summary: String, since: Date, tenant: TenantID? = nil, task: TaskID? = nil,
        escalation: EscalationID? = nil
    ) {
        self.name = name
        self.severity = severity
        self.summary = summary
        self.tenant = tenant
        self.task = task
        self.escalation = escalation
        self.since = since
    }
}

extension Alert: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        name = try body.bounded("name", bytesMax: 100)
        guard let severity = Severity(rawValue: try body.string("severity")) else {
            throw body.error("severity", "must be info, warning or critical")
        }
        self.severity = severity
        summary = try body.bounded("summary", bytesMax: 4096)
        tenant = try body.optionalName("tenant")
        task = try body.optionalString("task_id").flatMap { TaskID($0) }
        escalation = try body.optionalString("escalation_id").flatMap { EscalationID($0) }
        since = try body.timestamp("since")
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("name", name)
        writer.field("severity", severity.rawValue)
        writer.field("summary", summary)
        writer.field(ifPresent: "tenant", tenant?.text)
        writer.field(ifPresent: "task_id", task?.description)
        writer.field(ifPresent: "escalation_id", escalation?.description)
        writer.field("since", Timestamp.text(since))
    }
}
