import Contracts
import Foundation
import OrchestratorCore

@testable import Storage

/// What Postgres holds. Nothing in it is lost; a transaction is one call, so that it happens wholly or not at all.
struct Database {
    struct TaskRow {
        var record: TaskRecord
        var draft: JSON?
        var story: [TaskEvent] = []
    }

    struct OutboxRow {
        let id: MessageID
        let parcel: Parcel
        /// Published, or withdrawn.
        var isGone = false
    }

    struct ReviewRow {
        var session: ReviewSession
        var votes: [CastVote] = []
        var isAnnounced = false
        /// Whether the deadline had passed when it was decided.
        var wasDue = false
    }

    struct EscalationRow {
        let id: EscalationID
        let task: TaskID
        var settlements = 0
    }

    /// One decision of the task machine, ready to be written.
    struct Step {
        let before: TaskRecord
        /// Nil for an admission.
        let event: TaskMachine.Event?
        let after: TaskRecord
        let effects: [TaskMachine.Effect]
    }

    var tasks: [TaskID: TaskRow] = [:]
    /// In the order they were accepted, so that what is looked at is the same in every run.
    var accepted: [TaskID] = []
    var outbox: [OutboxRow] = []
    /// Idempotency keys: which task each client's submission became.
    var keys: [Int: TaskID] = [:]
    var reviews: [ReviewID: ReviewRow] = [:]
    var sessions: [ReviewID] = []
    var escalations: [EscalationRow] = []
    var money = Money()

    /// Writes a step: the row, its events, its outbox and what it used. Answers which rows of the outbox are its own.
    mutating func write(_ step: Step, now: Date) -> Range<Int> {
        var row = tasks[step.after.id] ?? TaskRow(record: step.after)
        row.record = step.after
        if case .new(let draft)? = step.after.draft {
            row.draft = draft
            row.record.draft = .stored
        }
        let first = outbox.count
        for effect in step.effects {
            switch effect {
            case .record(let event): row.story.append(event)
            case .hand(let item):
                outbox.append(OutboxRow(id: Self.work(of: item.task, item.attempt), parcel: .work(item)))
            case .withdraw(let attempt):
                for index in outbox.indices where outbox[index].id == Self.work(of: step.after.id, attempt) {
                    outbox[index].isGone = true
                }
            case .closeReview(let closing):
                outbox.append(
                    OutboxRow(
                        id: MessageID(kind: "close", about: closing.session.uuid), parcel: .closeReview(closing.session)
                    ))
            case .escalate(let id, _):
                escalations.append(EscalationRow(id: id, task: step.after.id))
                outbox.append(OutboxRow(id: MessageID(kind: "escalation", about: id.uuid), parcel: .escalation(id)))
            case .settle(let id, _):
                for index in escalations.indices where escalations[index].id == id {
                    escalations[index].settlements += 1
                }
            case .stop, .execute, .stopExecution, .review, .keep, .queue, .free: break
            }
        }
        tasks[step.after.id] = row
        let change = TaskChange(
            previousSequence: step.before.eventSequence, task: step.after, events: [], outbox: [])
        if let settlement = change.settlement {
            _ = money.settle(settlement, on: Reservation.Key(of: step.after), now: now)
        }
        return first..<outbox.count
    }

    private static func work(of task: TaskID, _ attempt: Int) -> MessageID {
        MessageID(kind: "work", about: task.uuid, number: attempt)
    }

    /// Whether the work of the task's attempt still waits in the outbox.
    func isUnsent(_ task: TaskRecord) -> Bool {
        let work = Self.work(of: task.id, task.attempt)
        return outbox.contains { $0.id == work && !$0.isGone }
    }

    /// The rows of tasks, oldest first.
    var rows: [TaskRow] { accepted.compactMap { tasks[$0] } }
}
