internal import Contracts
internal import Logging
internal import OrchestratorCore
internal import Postgres
internal import Storage

/// Ends or retries every attempt whose lease has passed its deadline.
///
/// All that are due are written in one transaction. When that fails for the sake of some, each tenant's go apart, so
/// that no tenant's account that somebody holds locked, and no row that cannot be written, keeps the others from their
/// deadlines. What fails then rests for a while.
struct DeadlineEnforcer: Sendable {
    /// Tasks that stand back, and until when.
    typealias Resting = [TaskID: ContinuousClock.Instant]

    /// Tasks corrected in one transaction.
    static let batchMax = 500
    static let restTime: Duration = .seconds(30)

    let tasks: TaskStore
    let records: ReconciliationStore
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments
    let logger: Logger

    func enforce(past resting: Resting) async throws -> Resting {
        var resting = resting.filter { $0.value > .now }
        while true {
            let overdue = try await records.overdue(limit: Self.batchMax + resting.count)
            let due = overdue.filter { resting[$0.task] == nil }
            if due.isEmpty { return resting }
            let (changed, failed) = try await enforceApart(due)
            for task in failed { resting[task] = .now + Self.restTime }
            // Nothing changed means that the clock is a little behind the database's: the next second will do.
            if changed == 0 || overdue.count < Self.batchMax { return resting }
        }
    }

    private func enforceApart(_ due: [OverdueTask]) async throws -> (changed: Int, failed: [TaskID]) {
        var parts = [due]
        var (changed, failed): (Int, [TaskID]) = (0, [])
        while let part = parts.popLast() {
            do {
                changed += try await enforce(part.map(\.task))
            } catch let error where error.isFaultOfSomeRow {
                let pieces = Self.split(part, after: error)
                parts += pieces
                guard pieces.isEmpty else { continue }
                failed += part.map(\.task)
                logger.warning(
                    "deadlines could not be enforced; they are tried again",
                    metadata: [
                        "tenant": "\(part[0].tenant)", "tasks": "\(part.count)", "first": "\(part[0].task)",
                        "error": "\(error)",
                    ])
            }
        }
        return (changed, failed)
    }

    /// Nothing when it is not worth while: an account that is locked is locked for all of its tenant's tasks.
    private static func split(_ part: [OverdueTask], after error: any Error) -> [[OverdueTask]] {
        let tenants = Dictionary(grouping: part, by: \.tenant)
        if tenants.count > 1 { return Array(tenants.values) }
        if part.count == 1 || (error as? PostgresError)?.isLockTimeout == true { return [] }
        let middle = part.count / 2
        return [Array(part[..<middle]), Array(part[middle...])]
    }

    private func enforce(_ overdue: [TaskID]) async throws -> Int {
        let now = decider.clock.now
        let outcome = try await tasks.change(overdue) { [decider] locked in
            var outcome = Outcome()
            for task in locked { decider.apply(.deadlinePassed, to: task, now: now, into: &outcome) }
            return (outcome.changes, outcome)
        }
        dispatcher.carryOut(outcome)
        instruments.count(outcome.events, of: outcome.changes)
        try await decider.workflows.meet(outcome.unread.map(\.id))
        return outcome.changes.count
    }
}
