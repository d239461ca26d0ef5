internal import Contracts
internal import FoundationEssentials
internal import Storage

/// What a receiver reads: `{type, timestamp, data}`, the same bytes at every attempt, since it is made of what
/// changes no longer.
enum WebhookBody {
    static func bytes(_ delivery: LeasedDelivery, _ event: LeasedDelivery.Event) -> [UInt8] {
        let body = JSONWriter.object { writer in
            writer.field("type", delivery.kind)
            writer.field("timestamp", Timestamp.text(event.at))
            writer.field("data", object: { write(delivery, event, to: &$0) })
        }
        return Array(body.bytes)
    }

    private static func write(
        _ delivery: LeasedDelivery, _ event: LeasedDelivery.Event, to writer: inout JSONWriter
    ) {
        writer.field("task_id", delivery.task.description)
        writer.field("tenant", delivery.tenant.text)
        if let task = delivery.taskFacts {
            writer.field("project", task.project)
            writer.field(ifPresent: "name", task.name)
            writer.field("workflow", task.workflow)
        }
        writer.field("seq", delivery.sequence)
        writer.field("attempt", event.attempt)
        writer.field("event", event.data)
        writer.field(ifPresent: "output", delivery.taskFacts?.output)
    }
}
