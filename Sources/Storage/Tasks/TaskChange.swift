package import Contracts

/// One task's next row, with what commits together with it.
package struct TaskChange: Sendable {
    /// The number of the last event when the row was read; guards the write.
    package let previousSequence: Int
    package let task: TaskRecord
    package let events: [TaskEvent]
    package let outbox: [OutboxMessage]
    /// Escalations of the task that begin with this change.
    package let filed: [FiledEscalation]
    /// Escalations of the task that end with this change.
    package let settled: [SettledEscalation]
    /// What reviews said of the prompts that the task's work was done by.
    package let judged: [PromptReview]
    /// Messages that leave the outbox with this change; one that is being forgotten at this moment was published.
    package let withdrawn: [String]

    package init(
        previousSequence: Int, task: TaskRecord, events: [TaskEvent], outbox: [OutboxMessage],
        filed: [FiledEscalation] = [], settled: [SettledEscalation] = [], judged: [PromptReview] = [],
        withdrawn: [String] = []
    ) {
        self.previousSequence = previousSequence
        self.task = task
        self.events = events
        self.outbox = outbox
        self.filed = filed
        self.settled = settled
        self.judged = judged
        self.withdrawn = withdrawn
    }

    /// True when nothing but the task itself is written that anybody else may write. The rest is locked after the task.
    var isAlone: Bool {
        filed.isEmpty && settled.isEmpty && judged.isEmpty && withdrawn.isEmpty && settlement == nil
    }

    /// Ends what is held for a task, with what it used, in the transaction that ends the task: so it is charged once.
    var settlement: BudgetBook.Operation? {
        guard task.state.isTerminal, task.budgetTokens != nil else { return nil }
        let actual = min(task.usageTokens, BudgetAccount.tokensMax)
        return .commit(Reservation.Key(of: task), actual: actual, principal: task.principal)
    }

    /// To whom the task's last event goes, when this change holds it and somebody asked for it.
    var callback: TaskCallback? {
        guard let url = task.callback, let last = events.last(where: { $0.kind.endsTask }) else { return nil }
        return TaskCallback(task: task.id, sequence: last.sequence, url: url)
    }
}

/// A queued task as the dispatcher takes it.
package struct QueuedTask: Sendable {
    package let task: TaskRecord
    package let input: JSON
    /// What was made of it so far, for the next to go on with.
    package let draft: JSON?
}

/// A whole task, for people.
package struct TaskDocument: Sendable {
    package let task: TaskRecord
    package let input: JSON
    package let output: JSON?
    /// What was developed and does not count yet.
    package let draft: JSON?
}
