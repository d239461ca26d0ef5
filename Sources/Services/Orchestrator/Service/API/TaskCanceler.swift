internal import Contracts
internal import FoundationEssentials
internal import OrchestratorCore
internal import Storage

/// Ends tasks at their owners' wish.
struct TaskCanceler: Sendable {
    let tasks: TaskStore
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments

    enum Result: Sendable {
        /// The task as it is now: canceled, or canceling until its agent stops.
        case done(TaskRecord)
        /// It ended otherwise before.
        case tooLate(TaskRecord)
        case unknown
    }

    func cancel(_ id: TaskID, tenant: TenantID, reason: String) async throws -> Result {
        let now = Date()
        let (result, outcome) = try await tasks.change([id]) { [decider] locked in
            var outcome = Outcome()
            guard let task = locked.first, task.tenant == tenant else { return ([], (Result.unknown, outcome)) }
            switch decider.apply(.cancelRequested(reason: reason), to: task, now: now, into: &outcome) {
            case nil: return (outcome.changes, (.done(outcome.changes.first?.task ?? task), outcome))
            case .ended: return ([], (task.state == .canceled ? .done(task) : .tooLate(task), outcome))
            case .lost, .wrongLease, .repeated, .notApplicable: return ([], (.done(task), outcome))
            }
        }
        dispatcher.carryOut(outcome)
        instruments.count(outcome.events, of: outcome.changes)
        return result
    }
}
