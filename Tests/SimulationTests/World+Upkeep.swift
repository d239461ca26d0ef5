import Contracts
import Foundation
import OrchestratorCore

@testable import Coordination
@testable import Storage

/// What the services do without being told: sweeps, counts and comparisons that make up for what was lost.
extension World {
    /// While things go wrong, upkeep is late and of one kind at a time.
    func keepSomethingUp() {
        switch dice.roll(6) {
        case 0: enforceDeadlines()
        case 1: relay()
        case 2: recoverReviews()
        case 3: sweepReviews()
        case 4: sweepMoney()
        default: recount()
        }
        nudgePeople()
        if !isCalm { plan(.upkeep, after: dice.between(1, 30)) }
    }

    func keepEverythingUp() {
        enforceDeadlines()
        relay()
        restoreLost()
        recoverReviews()
        sweepReviews()
        sweepMoney()
        recount()
        nudgePeople()
    }

    /// When time alone will bring something next.
    var nextDeadline: Double? {
        var times: [Date] = []
        for row in database.rows {
            if case .queued(let runAt) = row.record.phase { times.append(runAt) }
            if let lease = row.record.lease { times.append(lease.deadline) }
        }
        for case let row? in database.sessions.map({ database.reviews[$0] }) where row.session.status == .open {
            times.append(row.session.deadline)
        }
        for case let entry? in database.money.keys.map({ database.money.entries[$0] }) {
            // A task's hold is ended by its task.
            if entry.reservation.state == .pending, entry.reservation.task == nil {
                times.append(entry.reservation.expiresAt)
            }
        }
        return times.map { $0.timeIntervalSince(Self.epoch) }.min().map { max($0, clock) }
    }

    private func enforceDeadlines() {
        for row in database.rows {
            guard let lease = row.record.lease, lease.deadline < now else { continue }
            let event = late(row.record)
            onReplica { try apply(event, to: row.record.id, at: $0) }
        }
    }

    private func late(_ task: TaskRecord) -> TaskMachine.Event {
        guard case .running = task.phase, database.isUnsent(task) else { return .deadlinePassed }
        return .unsent(attempt: task.attempt)
    }

    private func relay() {
        for row in database.outbox.indices where !database.outbox[row].isGone {
            activity += 1
            publishOutbox(row)
        }
    }

    /// What a stream held that is gone is derived again.
    private func restoreLost() {
        let lost = lostStreams
        lostStreams = []
        guard lost.contains(.work) || lost.contains(.results) else { return }
        for row in database.rows {
            guard
                let item = TaskMachine.workItem(
                    of: row.record, input: .emptyObject, previous: row.draft,
                    workflow: Scenes.workflow(of: row.record))
            else { continue }
            derivations += 1
            _ = publish(
                MessageID(kind: "work", about: item.task.uuid, number: item.attempt, derivation: derivations),
                .work(item))
        }
    }

    /// A session nobody opened is asked for again; a decision nobody heard is taken from where it stands; a session
    /// nobody waits for is closed.
    private func recoverReviews() {
        for row in database.rows {
            guard case .waiting(.review, let lease) = row.record.phase, let id = ReviewID(lease.token) else { continue }
            if let decision = decision(of: id) {
                onReplica { try apply(.reviewDecided(decision), to: row.record.id, at: $0) }
            } else if database.reviews[id] == nil, now < lease.deadline {
                derivations += 1
                askForReview(row.record.id, derivation: derivations)
            }
        }
        for id in database.sessions {
            guard let row = database.reviews[id], row.session.status == .open,
                database.tasks[row.session.task]?.record.lease?.token != id.description
            else { continue }
            derivations += 1
            _ = publish(
                MessageID(kind: "close", about: id.uuid, derivation: derivations), .closeReview(id))
        }
    }

    private func sweepMoney() {
        for key in database.money.overdue(now: now) {
            activity += 1
            _ = database.money.settle(.expire(key, principal: "sweeper"), on: key, now: now)
        }
        if let fault = database.money.fault { complain(fault) }
    }

    /// The leaders' books are made anew from the rows.
    private func recount() {
        let snapshot = snapshot
        for index in replicas.indices where replicas[index].leads && replicas[index].isUp {
            replicas[index].book.resync(snapshot)
        }
        if !snapshot.queued.isEmpty { plan(.dispatch, after: 0.01) }
        for index in agents.indices { agents[index].breaker.tick(now: microseconds, share: 2) }
    }

    private var snapshot: DispatchBook.Snapshot {
        var inFlight: [DispatchBook.Key: Int] = [:]
        var queued: [DispatchBook.Key: Int] = [:]
        for row in database.rows {
            if row.record.state.occupiesAgent { inFlight[key(row.record.role), default: 0] += 1 }
            if case .queued(let runAt) = row.record.phase, runAt <= now {
                queued[key(row.record.role), default: 0] += 1
            }
        }
        return DispatchBook.Snapshot(inFlight: inFlight, queued: queued)
    }

    /// People look at what waits for them.
    private func nudgePeople() {
        for row in database.rows {
            guard case .waiting(.approval, let lease) = row.record.phase else { continue }
            if !misfortune(2) { plan(.answer(row.record.id, question: lease.token), after: dice.between(1, 40)) }
        }
        for index in database.escalations.indices where database.escalations[index].settlements == 0 {
            plan(.resolve(index), after: dice.between(0.1, 20))
        }
    }
}
