internal import Contracts
internal import OrchestratorCore
internal import Postgres
internal import Storage

/// Ends or retries every attempt whose lease has passed its deadline, unless nobody could have done it in time: the bus
/// had not taken its work, or the sandbox has its tests in line.
///
/// What cannot be written now rests for a while, so that it keeps none of the others from their deadlines. Nor does a
/// tenant some of whose rows are locked: it has its next turn in the next pass.
struct DeadlineEnforcer: Sendable {
    /// Tasks that stand back, and until when.
    typealias Resting = [TaskID: ContinuousClock.Instant]

    /// Tasks corrected in one transaction.
    static let batchMax = 500
    static let restTime: Duration = .seconds(30)
    /// For what somebody holds locked, perhaps for a moment only. Shorter than its tenant stays apart, so that the next
    /// try, too, keeps nobody else waiting.
    static let lockedRestTime: Duration = .seconds(5)

    let records: ReconciliationStore
    let changer: TaskChanger

    func enforce(past resting: Resting) async throws -> Resting {
        var resting = resting.filter { $0.value > .now }
        var waiting: Set<TenantID> = []
        while true {
            let overdue = try await records.overdue(besides: waiting, limit: Self.batchMax + resting.count)
            let due = overdue.filter { resting[$0.task] == nil }
            if due.isEmpty { return resting }
            let events = Dictionary(due.map { ($0.task, $0.event) }) { first, _ in first }
            let applied = try await changer.apply(to: due.map(\.task)) { task in events[task.id].map { [$0] } ?? [] }
            let tenants = Dictionary(due.map { ($0.task, $0.tenant) }) { first, _ in first }
            for (task, error) in applied.failed {
                resting[task] = .now + Self.restTime(after: error)
                if Self.isLocked(error), let tenant = tenants[task] { waiting.insert(tenant) }
            }
            // Neither changed nor failed: the clock is a little behind the database's, and the next second will do.
            let isEarly = applied.changes.isEmpty && applied.failed.isEmpty
            if isEarly || overdue.count < Self.batchMax { return resting }
        }
    }

    static func restTime(after error: any Error) -> Duration {
        isLocked(error) ? lockedRestTime : restTime
    }

    private static func isLocked(_ error: any Error) -> Bool { (error as? PostgresError)?.isLockTimeout == true }
}

extension OverdueTask {
    /// What has happened to it.
    fileprivate var event: TaskMachine.Event {
        if isUnsent { return .unsent(attempt: attempt) }
        guard let run else { return .deadlinePassed }
        switch run.state {
        case .queued: return .unfinished(run.id, .waiting)
        case .running:
            return .unfinished(run.id, run.startedAt.map { TaskMachine.RunStanding.running(since: $0) } ?? .waiting)
        case .ended: return .unfinished(run.id, .ended)
        }
    }
}
