/// On `control.cancel.<task>`: whoever holds an attempt up to `attempt` stops it and reports nothing more.
package struct CancelNotice: Sendable, Equatable, WireMessage {
    package let task: TaskID
    package let attempt: Int
    package let reason: String

    package init(task: TaskID, attempt: Int, reason: String) {
        self.task = task
        self.attempt = attempt
        self.reason = reason
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        task = try body.taskID("task_id")
        attempt = try body.int("attempt")
        reason = try body.string("reason")
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("task_id", task.description)
        writer.field("attempt", attempt)
        writer.field("reason", reason)
    }
}

/// On `control.dispatch`: another replica tells the leading dispatcher what it queued and which slots it freed.
///
/// A hint only: the dispatcher counts for itself in Postgres once a second.
package struct DispatchHint: Sendable, Equatable, WireMessage {
    package struct Count: Sendable, Hashable {
        package let role: AgentRole
        package let tenant: TenantID

        package init(role: AgentRole, tenant: TenantID) {
            self.role = role
            self.tenant = tenant
        }
    }

    /// Far above what one batch queues or frees, and far below what sums could not hold.
    private static let countMax = 1 << 32

    package let queued: [Count: Int]
    package let freed: [Count: Int]

    package init(queued: [Count: Int], freed: [Count: Int]) {
        self.queued = queued
        self.freed = freed
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        queued = try Self.counts(body.optionalArray("queued") ?? [])
        freed = try Self.counts(body.optionalArray("freed") ?? [])
    }

    private static func counts(_ elements: [JSON]) throws(JSONError) -> [Count: Int] {
        var counts: [Count: Int] = [:]
        for element in elements {
            var reader = try JSONReader(element)
            let count = try reader.int("count")
            guard (0...countMax).contains(count) else { throw reader.error("count", "must be 0 to \(countMax)") }
            counts[Count(role: try reader.name("role"), tenant: try reader.name("tenant")), default: 0] += count
        }
        return counts
    }

    package func write(to writer: inout JSONWriter) {
        for (name, counts) in [("queued", queued), ("freed", freed)] {
            writer.field(
                name,
                array: { writer in
                    for (key, count) in counts {
                        writer.element(object: {
                            $0.field("role", key.role.text)
                            $0.field("tenant", key.tenant.text)
                            $0.field("count", count)
                        })
                    }
                })
        }
    }
}
