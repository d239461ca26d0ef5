internal import Contracts
internal import FoundationEssentials
internal import OrchestratorCore
internal import Storage

/// Lets people decide about tasks: cancel them, approve or reject their work, resolve their escalations.
struct TaskJudge: Sendable {
    let tasks: TaskStore
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments

    enum Result: Sendable {
        case changed(TaskRecord)
        /// Nothing happened to it, and why.
        case unchanged(TaskRecord, TaskMachine.Reason)
        case unknown
    }

    /// Applies one event to one of the tenant's tasks.
    func apply(_ event: TaskMachine.Event, to id: TaskID, tenant: TenantID) async throws -> Result {
        let (result, outcome) = try await decide(event, id, tenant)
        guard !outcome.unread.isEmpty else { return result }
        try await decider.workflows.meet([id])
        return try await decide(event, id, tenant).0
    }

    private func decide(_ event: TaskMachine.Event, _ id: TaskID, _ tenant: TenantID) async throws -> (Result, Outcome)
    {
        let now = decider.clock.now
        let (result, outcome) = try await tasks.change([id]) { [decider] locked in
            var outcome = Outcome()
            guard let task = locked.first, task.tenant == tenant else { return ([], (Result.unknown, outcome)) }
            if let reason = decider.apply(event, to: task, now: now, into: &outcome) {
                return ([], (.unchanged(task, reason), outcome))
            }
            return (outcome.changes, (.changed(outcome.changes.first?.task ?? task), outcome))
        }
        dispatcher.carryOut(outcome)
        instruments.count(outcome.events, of: outcome.changes)
        return (result, outcome)
    }
}
