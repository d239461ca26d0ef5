internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import OrchestratorCore
internal import Storage

/// Gives the pure machine what it needs from outside: the workflow, lease tokens, randomness.
struct Decider: Sendable {
    let workflows: WorkflowCatalogue
    let prompts: PromptBook
    let clock: SharedClock

    /// A new lease token: 128 random bits in hex.
    func newToken() -> String {
        var generator = SecureRandom()
        return Hexadecimal.text(generator.next()) + Hexadecimal.text(generator.next())
    }

    func context(_ task: TaskRecord, now: Date) -> TaskMachine.Context? {
        workflows.find(task).map {
            var generator = SecureRandom()
            return TaskMachine.Context(
                now: now, workflow: $0, jitter: Double.random(in: 0..<1, using: &generator),
                random: (generator.next(), generator.next())
            )
        }
    }

    /// Starts the next attempt of a queued task.
    func dispatch(_ queued: QueuedTask, now: Date, into outcome: inout Outcome) {
        let event = TaskMachine.Event.dispatched(
            token: newToken(), input: queued.input, prompt: prompts[queued.task.role], previous: queued.draft
        )
        apply(event, to: queued.task, now: now, into: &outcome)
    }

    /// Applies one event to one task; answers why when it changed nothing.
    ///
    /// A task whose workflow was not read yet is left as it is, and named in the outcome.
    @discardableResult
    func apply(
        _ event: TaskMachine.Event, to task: TaskRecord, now: Date, into outcome: inout Outcome
    ) -> TaskMachine.Reason? {
        guard let context = context(task, now: now) else {
            outcome.leaveUnread(task)
            return .notApplicable
        }
        switch TaskMachine.decide(task, event, context: context) {
        case .changed(let next, let effects):
            outcome.add(next, effects, previousSequence: task.eventSequence)
            return nil
        case .unchanged(let reason): return reason
        }
    }
}
