internal import Contracts
internal import OrchestratorCore
internal import Postgres
internal import Storage

/// Lets people decide about tasks: cancel them, approve or reject their work, resolve their escalations.
struct TaskJudge: Sendable {
    /// People rather wait some seconds than ask again.
    static let lockTriesMax = 6

    let changer: TaskChanger

    enum Result: Sendable {
        case changed(TaskRecord)
        /// Nothing happened to it, and why.
        case unchanged(TaskRecord, TaskMachine.Reason)
        case unknown
    }

    /// Applies one event to one of the tenant's tasks.
    ///
    /// - Parameter lockTries: how often a lock that somebody holds is waited for.
    func apply(
        _ event: TaskMachine.Event, to id: TaskID, tenant: TenantID, lockTries: Int = lockTriesMax
    ) async throws -> Result {
        var applied = try await applyOnce(event, id, tenant)
        for _ in 1..<lockTries where (applied.failed[id] as? PostgresError)?.isLockTimeout == true {
            applied = try await applyOnce(event, id, tenant)
        }
        if let error = applied.failed[id] { throw error }
        if let change = applied.changes.first { return .changed(change.task) }
        if let (task, reason) = applied.refused.first { return .unchanged(task, reason) }
        return applied.unread.first.map { .unchanged($0, .notApplicable) } ?? .unknown
    }

    private func applyOnce(
        _ event: TaskMachine.Event, _ id: TaskID, _ tenant: TenantID
    ) async throws -> TaskChanger.Applied {
        try await changer.apply(to: [id]) { $0.tenant == tenant ? [event] : [] }
    }
}
