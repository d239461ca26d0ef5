internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import OrchestratorCore
internal import Storage

/// Gives the pure machine what it needs from outside: the workflow, lease tokens, randomness.
struct Decider: Sendable {
    let workflows: WorkflowCatalogue
    let prompts: PromptBook

    /// A new lease token: 128 random bits in hex.
    func newToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return Hexadecimal.text(generator.next()) + Hexadecimal.text(generator.next())
    }

    func context(_ task: TaskRecord, now: Date) -> TaskMachine.Context? {
        workflows.find(task.workflow, version: task.workflowVersion).map {
            TaskMachine.Context(now: now, workflow: $0, jitter: Double.random(in: 0..<1))
        }
    }

    /// Starts the next attempt of a queued task.
    func dispatch(_ queued: QueuedTask, now: Date, into outcome: inout Outcome) {
        let prompt = prompts[queued.task.role]
        apply(
            .dispatched(token: newToken(), input: queued.input, prompt: prompt), to: queued.task, now: now,
            into: &outcome
        )
    }

    /// Applies one event to one task; answers why when it changed nothing.
    @discardableResult
    func apply(
        _ event: TaskMachine.Event, to task: TaskRecord, now: Date, into outcome: inout Outcome
    ) -> TaskMachine.Reason? {
        guard let context = context(task, now: now) else { return .notApplicable }
        switch TaskMachine.decide(task, event, context: context) {
        case .changed(let next, let effects):
            outcome.add(next, effects, previousSequence: task.eventSequence)
            return nil
        case .unchanged(let reason): return reason
        }
    }
}

/// The workflows this installation knows, by name and version.
struct WorkflowCatalogue: Sendable {
    private let all: [WorkflowName: [Workflow]]

    init(_ workflows: [Workflow] = Workflow.builtIn) {
        all = Dictionary(grouping: workflows, by: \.name).mapValues { $0.sorted { $0.version < $1.version } }
    }

    func find(_ name: WorkflowName, version: Int) -> Workflow? { all[name]?.first { $0.version == version } }

    func newest(_ name: WorkflowName) -> Workflow? { all[name]?.last }

    var names: [WorkflowName] { all.keys.sorted() }
}
