internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Postgres
internal import Storage

/// Changes tasks as the machine decides, and carries out what follows.
///
/// All of them are written in one transaction. When that fails for the sake of some, each tenant's go apart, so that
/// nothing of a tenant's that somebody holds locked, and no row that cannot be written, keeps the others back; nor does
/// a task whose row is locked keep back the other tasks of its tenant. What fails then stays as it was; whoever asked
/// comes back to it.
struct TaskChanger: Sendable {
    let tasks: TaskStore
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments
    let logger: Logger

    /// What became of tasks that were to be changed.
    struct Changed<Note: Sendable>: Sendable {
        /// What each transaction decided, all of it carried out.
        var done: [(outcome: Outcome, note: Note)] = []
        /// Tasks that are as they were, and why.
        var failed: [TaskID: any Error] = [:]
    }

    /// What became of tasks that something happened to.
    struct Applied: Sendable {
        var changes: [TaskChange] = []
        var refused: [(task: TaskRecord, reason: TaskMachine.Reason)] = []
        /// Tasks that are as they were, since nobody knows their workflows.
        var unread: [TaskRecord] = []
        /// Tasks that are as they were, and why.
        var failed: [TaskID: any Error] = [:]
    }

    /// Locks the tasks and writes what `decide` makes of those that exist, all at once or in parts.
    ///
    /// - Parameter decide: runs on a database's thread, perhaps again for the same task.
    /// - Throws: what is no single row's fault; what was done until then was carried out.
    func change<Note: Sendable>(
        _ ids: [TaskID], _ decide: @escaping @Sendable (_ locked: [TaskRecord], _ now: Date) -> (Outcome, Note)
    ) async throws -> Changed<Note> {
        let now = decider.clock.now
        var changed = Changed<Note>()
        var parts = try await tasks.parts(of: ids)
        while let part = parts.popLast() {
            do {
                let done: (result: (Outcome, Note), locked: [TaskID]) = try await tasks.change(part) { locked in
                    let (outcome, note) = decide(locked, now)
                    return (outcome.changes, (outcome, note))
                }
                let (outcome, note) = done.result
                carryOut(outcome)
                changed.done.append((outcome, note))
                leave(done.locked, TaskStore.rowIsLocked, in: &changed)
            } catch let error where error.isFaultOfSomeRow {
                let pieces = try await tasks.split(part, after: error)
                parts += pieces
                if pieces.isEmpty { leave(part.ids, error, in: &changed) }
            }
        }
        return changed
    }

    private func leave<Note: Sendable>(_ ids: [TaskID], _ error: any Error, in changed: inout Changed<Note>) {
        guard let first = ids.first else { return }
        for task in ids { changed.failed[task] = error }
        logger.warning(
            "tasks could not be changed; it is tried again",
            metadata: ["tasks": "\(ids.count)", "first": "\(first)", "error": "\(error)"])
    }

    /// Lets things happen to tasks: of those that `events` names for a task, the first that changes it. Tasks whose
    /// workflows this replica had not met have their turn when it has.
    func apply(
        to ids: [TaskID], _ events: @escaping @Sendable (TaskRecord) -> [TaskMachine.Event]
    ) async throws -> Applied {
        var applied = try await applyOnce(to: ids, events)
        let unread = applied.unread.map(\.id)
        if unread.isEmpty { return applied }
        try await decider.workflows.meet(unread)
        let rest = try await applyOnce(to: unread, events)
        applied.changes += rest.changes
        applied.refused += rest.refused
        applied.unread = rest.unread
        applied.failed.merge(rest.failed) { $1 }
        return applied
    }

    private func applyOnce(
        to ids: [TaskID], _ events: @escaping @Sendable (TaskRecord) -> [TaskMachine.Event]
    ) async throws -> Applied {
        let changed = try await change(ids) { [decider] locked, now in
            var outcome = Outcome()
            var refused: [(task: TaskRecord, reason: TaskMachine.Reason)] = []
            for task in locked {
                let unreadCount = outcome.unread.count
                for event in events(task) {
                    guard let reason = decider.apply(event, to: task, now: now, into: &outcome),
                        outcome.unread.count == unreadCount
                    else { break }
                    refused.append((task, reason))
                }
            }
            return (outcome, refused)
        }
        var applied = Applied()
        applied.failed = changed.failed
        for (outcome, refused) in changed.done {
            applied.changes += outcome.changes
            applied.refused += refused
            applied.unread += outcome.unread
        }
        return applied
    }

    /// Carries out what is left of a committed decision.
    func carryOut(_ outcome: Outcome) {
        dispatcher.carryOut(outcome)
        instruments.count(outcome.events, of: outcome.changes)
    }
}

extension Settlement {
    /// Before the deliveries that follow one in vain; the last goes on for ever.
    private static let waits: [Duration] = [.seconds(1), .seconds(2), .seconds(4), .seconds(8)]

    /// For a message about a task that could not be changed. A lock that somebody holds is not the message's fault.
    ///
    /// - Parameter count: deliveries so far.
    static func later(_ error: any Error, after count: Int) -> Settlement {
        let wait = waits[min(max(1, count), waits.count) - 1]
        if (error as? PostgresError)?.isLockTimeout == true { return .wait(wait) }
        return .retry(after: wait, error: "\(error)")
    }
}
