package import Contracts

/// One task's next row, with what commits together with it.
package struct TaskChange: Sendable {
    /// The number of the last event when the row was read; guards the write.
    package let previousSequence: Int
    package let task: TaskRecord
    package let events: [TaskEvent]
    package let outbox: [OutboxMessage]

    package init(previousSequence: Int, task: TaskRecord, events: [TaskEvent], outbox: [OutboxMessage]) {
        self.previousSequence = previousSequence
        self.task = task
        self.events = events
        self.outbox = outbox
    }
}

/// A queued task as the dispatcher takes it.
package struct QueuedTask: Sendable {
    package let task: TaskRecord
    package let input: JSON
}

/// A whole task, for people.
package struct TaskDocument: Sendable {
    package let task: TaskRecord
    package let input: JSON
    package let output: JSON?
}
