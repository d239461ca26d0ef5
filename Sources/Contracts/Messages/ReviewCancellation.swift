/// On `prc.<session>.cancel`: nobody waits for the session's decision any more, so nobody need vote.
package struct ReviewCancellation: Sendable, Equatable, WireMessage {
    package let session: ReviewID
    package let tenant: TenantID
    package let task: TaskID
    package let reason: String

    package init(session: ReviewID, tenant: TenantID, task: TaskID, reason: String) {
        self.session = session
        self.tenant = tenant
        self.task = task
        self.reason = reason
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        session = try body.reviewID("session_id")
        tenant = try body.name("tenant")
        task = try body.taskID("task_id")
        reason = try body.string("reason")
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("session_id", session.description)
        writer.field("tenant", tenant.text)
        writer.field("task_id", task.description)
        writer.field("reason", reason)
    }
}
