import Contracts
import Foundation
import OrchestratorCore

/// A process of the orchestrator, with what it forgets when it dies.
struct Replica {
    /// Little, so that tasks have to wait for their turns.
    private static let limits: DispatchBook.Limits = {
        var limits = DispatchBook.Limits()
        limits.windowDefault = 2
        limits.grantMax = 2
        return limits
    }()

    var isUp = true
    let leads: Bool
    /// How much its clock is ahead.
    let skew: Double
    var book = DispatchBook(limits: limits)
    /// Rows as it last wrote them.
    var recent: [TaskID: TaskRecord] = [:]

    init(leads: Bool, skew: Double) {
        self.leads = leads
        self.skew = skew
    }

    mutating func die() {
        isUp = false
        book = DispatchBook(limits: Self.limits)
        recent = [:]
    }
}

/// A process died between two of its effects.
struct Crash: Error {}

/// What the orchestrator does with what happens to tasks.
extension World {
    /// Between any two effects a process may die.
    func boundary() throws {
        if misfortune(50) { throw Crash() }
    }

    /// Has a replica that is up do something; false when there is none, or it died on the way.
    @discardableResult
    func onReplica(_ chosen: Int? = nil, _ body: (Int) throws -> Void) -> Bool {
        let up = replicas.indices.filter { replicas[$0].isUp && (chosen == nil || chosen == $0) }
        guard !up.isEmpty else { return false }
        let replica = dice.pick(up)
        do {
            try body(replica)
            return true
        } catch {
            note("replica \(replica) dies")
            replicas[replica].die()
            plan(.restart(replica), after: dice.between(0.5, 15))
            return false
        }
    }

    func time(at replica: Int) -> Date { now.addingTimeInterval(replicas[replica].skew) }

    func context(_ task: TaskRecord, at replica: Int) -> TaskMachine.Context {
        TaskMachine.Context(
            now: time(at: replica), workflow: Scenes.workflow(of: task), jitter: dice.share(),
            random: (dice.next(), dice.next()))
    }

    private func decide(_ task: TaskRecord, _ event: TaskMachine.Event, at replica: Int) -> Database.Step? {
        var seenEvent = plant?.disguised(event, for: task) ?? event
        if plant == .reviewFence, case .reviewDecided(let decision) = event, let token = task.lease?.token,
            let session = ReviewID(token), let other = self.decision(of: decision.session, as: session)
        {
            seenEvent = .reviewDecided(other)
        }
        guard
            case .changed(let next, let effects) = TaskMachine.decide(
                task, seenEvent, context: context(task, at: replica))
        else { return nil }
        return Database.Step(before: task, event: event, after: next, effects: effects)
    }

    /// Applies an event to a task as its row stands. False when it changed nothing.
    @discardableResult
    func apply(_ event: TaskMachine.Event, to id: TaskID, at replica: Int) throws -> Bool {
        guard let row = database.tasks[id], let step = decide(row.record, event, at: replica) else { return false }
        return try finish(step, at: replica)
    }

    /// Commits and carries out. False when the row was not what it was taken for, and then nothing was done.
    private func finish(_ step: Database.Step, at replica: Int) throws -> Bool {
        try boundary()
        guard let row = database.tasks[step.after.id]?.record,
            row.eventSequence == step.before.eventSequence || plant == .rowGuard
        else { return false }
        let rows = commit(step, over: row)
        try boundary()
        try carryOut(step, rows, at: replica)
        return true
    }

    func commit(_ step: Database.Step, over row: TaskRecord?) -> Range<Int> {
        activity += 1
        note(
            "\(step.after.id.short): \(step.before.state) -> \(step.after.state), attempt \(step.after.attempt)")
        observe(step, over: row)
        let rows = database.write(step, now: now)
        if let fault = database.money.fault { complain(fault) }
        return rows
    }

    func carryOut(_ step: Database.Step, _ rows: Range<Int>, at replica: Int) throws {
        remember(step.after, at: replica)
        for row in rows {
            publishOutbox(row)
            try boundary()
        }
        for effect in step.effects {
            switch effect {
            case .stop(let notice):
                if !misfortune(4) { plan(.stop(notice.task, attempt: notice.attempt), after: dice.between(0.01, 1)) }
            case .review: askForReview(step.after.id, derivation: 0)
            case .queue(let role, _): hint { $0.queued(DispatchHint.Count(role: role, tenant: step.after.tenant), 1) }
            case .free(let role): hint { $0.freed(DispatchHint.Count(role: role, tenant: step.after.tenant), 1) }
            case .record, .hand, .withdraw, .keep, .closeReview, .escalate, .settle: continue
            case .execute, .stopExecution: complain("a workflow without tests asks the sandbox to run some")
            }
            try boundary()
        }
    }

    /// Only what agents hold is remembered, and nothing with a budget.
    private func remember(_ task: TaskRecord, at replica: Int) {
        guard task.lease != nil, task.budgetTokens == nil else {
            replicas[replica].recent[task.id] = nil
            return
        }
        if let known = replicas[replica].recent[task.id], known.eventSequence > task.eventSequence { return }
        var stored = task
        if stored.draft != nil { stored.draft = .stored }
        replicas[replica].recent[task.id] = stored
    }

    func publishOutbox(_ row: Int) {
        let (id, parcel) = (database.outbox[row].id, database.outbox[row].parcel)
        if publish(id, parcel) { database.outbox[row].isGone = true }
    }

    func askForReview(_ task: TaskID, derivation: Int) {
        guard let row = database.tasks[task], let draft = row.draft,
            let request = TaskMachine.reviewRequest(
                of: row.record, artifact: draft, owner: "o", workflow: Scenes.workflow(of: row.record))
        else { return }
        _ = publish(
            MessageID(kind: "request", about: request.session.uuid, derivation: derivation), .reviewRequest(request))
    }

    /// Whoever leads hears of it, or not.
    private func hint(_ body: (inout DispatchBook) -> Void) {
        for index in replicas.indices where replicas[index].leads && replicas[index].isUp && !misfortune(6) {
            body(&replicas[index].book)
        }
        plan(.dispatch, after: 0.01)
    }

    // MARK: What the bus brings

    func takeReport(_ report: AgentReport) -> Settlement {
        let isHeard = onReplica { replica in
            guard let known = replicas[replica].recent[report.task],
                let step = decide(known, .reported(report), at: replica)
            else {
                try apply(.reported(report), to: report.task, at: replica)
                return
            }
            // What a replica remembers is a guess: the row decides.
            if try finish(step, at: replica) { return }
            replicas[replica].recent[report.task] = nil
            try apply(.reported(report), to: report.task, at: replica)
        }
        return isHeard ? .acknowledge : .handBack(after: 30)
    }

    func takeDecision(_ decision: ReviewDecision) -> Settlement {
        let isHeard = onReplica { try apply(.reviewDecided(decision), to: decision.task, at: $0) }
        return isHeard ? .acknowledge : .handBack(after: 30)
    }

    // MARK: Dispatching

    /// Every replica that leads hands out what its book grants.
    func dispatch() {
        for index in replicas.indices where replicas[index].leads {
            onReplica(index) { try dispatch(at: $0) }
        }
    }

    private func dispatch(at replica: Int) throws {
        let roomBefore = Scenes.roles.map { replicas[replica].book.room(key($0)) }
        let grants = replicas[replica].book.plan()
        for grant in grants {
            let place = Scenes.roles.firstIndex(of: grant.key.role) ?? 0
            if grant.count > roomBefore[place] { complain("more was granted than there was room for") }
            let due = database.rows.filter {
                guard case .queued(let runAt) = $0.record.phase else { return false }
                return $0.record.role == grant.key.role && runAt <= time(at: replica)
            }
            let taken = due.prefix(grant.count)
            let steps = taken.compactMap { row in
                decide(
                    row.record, .dispatched(token: token(), input: .emptyObject, previous: row.draft), at: replica)
            }
            try boundary()
            let rows = steps.map { commit($0, over: database.tasks[$0.after.id]?.record) }
            try boundary()
            replicas[replica].book.settle(grant, taken: steps.count)
            for (step, rows) in zip(steps, rows) {
                remember(step.after, at: replica)
                for row in rows { publishOutbox(row) }
            }
        }
    }

    func token() -> String { String(dice.next(), radix: 16) }

    func key(_ role: AgentRole) -> DispatchHint.Count { DispatchHint.Count(role: role, tenant: Scenes.tenant) }
}
