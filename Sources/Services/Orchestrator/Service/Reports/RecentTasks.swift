internal import Contracts
internal import Storage
internal import Synchronization

/// The rows of tasks that agents hold, as this replica last wrote them, so that a report is decided on without reading
/// the row again.
///
/// Only a guess, since other replicas write rows, too: whoever writes by it guards the write by the row's event
/// sequence. What the database changes without an event, a budget that parts of the task draw on, is not remembered.
final class RecentTasks: Sendable {
    /// Forgotten all at once beyond that: what is forgotten is read again.
    static let countMax = 8192

    private let records = Mutex<[TaskID: TaskRecord]>([:])

    /// Takes over what was just committed.
    func note(_ changes: [TaskChange]) {
        records.withLock { records in
            for change in changes {
                let task = change.task
                guard task.lease != nil, task.budgetTokens == nil else {
                    records[task.id] = nil
                    continue
                }
                // Those who committed one after the other may come here in another order.
                if let known = records[task.id], known.eventSequence > task.eventSequence { continue }
                if records.count >= Self.countMax { records.removeAll() }
                records[task.id] = task.stored
            }
        }
    }

    /// The rows of all these tasks; nil when any is not known.
    func all(_ ids: [TaskID]) -> [TaskRecord]? {
        records.withLock { records in
            var found: [TaskRecord] = []
            found.reserveCapacity(ids.count)
            for id in ids {
                guard let record = records[id] else { return nil }
                found.append(record)
            }
            return found
        }
    }

    func forget(_ ids: [TaskID]) {
        records.withLock { records in for id in ids { records[id] = nil } }
    }
}

extension TaskRecord {
    /// As reading the row would have it.
    fileprivate var stored: TaskRecord {
        guard draft != nil else { return self }
        var stored = self
        stored.draft = .stored
        return stored
    }
}
