/// On `events.<tenant>`: what one replica has just committed to the histories of a tenant's tasks.
///
/// A doorbell with the news attached: the histories themselves are in Postgres, and a lost batch is made up for there.
package struct TaskEventBatch: Sendable, Equatable, WireMessage {
    package let events: [TaskEvent]

    package init(events: [TaskEvent]) {
        self.events = events
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        var events: [TaskEvent] = []
        for element in try body.optionalArray("events") ?? [] { events.append(try TaskEvent(json: element)) }
        self.events = events
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("events", array: { writer in for event in events { writer.element(event.json) } })
    }
}
