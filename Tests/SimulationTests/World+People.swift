import Contracts
import Foundation
import OrchestratorCore

@testable import Storage

/// Somebody who submits one task, and asks again under the same key until told what became of it.
struct Client {
    let workflow: Int
    /// Whether tokens are held for its task.
    let isBudgeted: Bool
    var told: TaskID?
    var isDenied = false
}

/// Somebody who holds tokens by the API and settles them, asking again until told.
struct Spender {
    let amount: Int
    let used: Int
    let commits: Bool
    /// How often it was told so.
    var isHeld = false
    var isSettled = false
    var isRefused = false
    var repeats = 0
}

extension World {
    // MARK: Submitting

    func submit(_ client: Int) {
        guard clients[client].told == nil, !clients[client].isDenied else { return }
        var answer: TaskID?
        onReplica { answer = try admit(client, at: $0) }
        if let answer, !misfortune(8) {
            clients[client].told = answer
            note("client \(client) is told \(answer.short)")
        } else if !clients[client].isDenied {
            plan(.submit(client), after: dice.between(1, 8))
        }
    }

    /// One transaction: key, hold and task.
    private func admit(_ client: Int, at replica: Int) throws -> TaskID? {
        let wish = clients[client]
        let task = newTask(Scenes.workflows[wish.workflow], isBudgeted: wish.isBudgeted)
        let startsAtOnce = replicas[replica].leads && replicas[replica].book.admit(key(task.role))
        let (admitted, effects) = TaskMachine.admit(
            task, lease: startsAtOnce ? (token(), .emptyObject) : nil, context: context(task, at: replica))
        try boundary()
        if let known = database.keys[client] {
            if startsAtOnce { replicas[replica].book.freed(key(task.role), 1) }
            return known
        }
        if wish.isBudgeted {
            let verdict = database.money.reserve(ReservationRequest(for: task), now: now)
            guard verdict == .reserved(Reservation.Key(of: task)) else {
                note("client \(client) is denied")
                if startsAtOnce { replicas[replica].book.freed(key(task.role), 1) }
                clients[client].isDenied = true
                return nil
            }
        }
        database.keys[client] = task.id
        database.accepted.append(task.id)
        let step = Database.Step(before: task, event: nil, after: admitted, effects: effects)
        let rows = commit(step, over: nil)
        try boundary()
        try carryOut(step, rows, at: replica)
        return task.id
    }

    private func newTask(_ workflow: Workflow, isBudgeted: Bool) -> TaskRecord {
        TaskRecord(
            id: TaskID(at: now, random: (dice.next(), dice.next())), tenant: Scenes.tenant, project: Scenes.project,
            principal: "me", name: nil, workflow: workflow.name, workflowVersion: 1, priority: 5, labels: [:],
            traceparent: nil, createdAt: now,
            overrides: TaskRecord.Overrides(timeoutSeconds: 30, attemptMax: workflow.stages[0].attemptMax),
            budgetTokens: isBudgeted ? 20 + dice.roll(50) : nil, stage: 0, role: Scenes.developer,
            phase: .queued(runAt: now), updatedAt: now)
    }

    func cancel(_ client: Int) {
        guard let task = database.keys[client] else { return }
        onReplica { try apply(.cancelRequested(reason: "not wanted"), to: task, at: $0) }
    }

    // MARK: Deciding

    /// A human answers, sometimes a question that is no longer open.
    func answer(_ task: TaskID, _ question: String) {
        let verdict = isCalm || !dice.chance(4) ? TaskMachine.Approval.approve(reason: nil) : .reject(reason: "no")
        onReplica { try apply(.approvalGiven(question: question, by: "ann", verdict: verdict), to: task, at: $0) }
        if misfortune(6) { plan(.answer(task, question: question), after: dice.between(1, 60)) }
    }

    /// Somebody resolves an escalation, in the end by ending the task.
    func resolve(_ index: Int) {
        let escalation = database.escalations[index]
        let rounds = database.escalations.filter { $0.task == escalation.task }.count
        let plan = JSON.emptyObject
        let ends: [Resolution] = [.reject(reason: "enough"), .cancel(reason: "enough")]
        let attempts: [Resolution] = [
            .retry(plan: nil), .reassign(Scenes.roles[1], plan: plan), .lowerScope(plan: plan),
            .raiseDeadline(seconds: 60, plan: nil), .approve,
        ]
        let choice = isCalm || rounds > 2 || dice.chance(3) ? dice.pick(ends) : dice.pick(attempts)
        onReplica {
            try apply(.escalationResolved(escalation.id, by: "rules", choice), to: escalation.task, at: $0)
        }
        if misfortune(6) { self.plan(.resolve(index), after: dice.between(0.1, 60)) }
    }

    // MARK: Spending

    /// One call, whose answer may be lost on the way back: then the call is made again, as it was.
    func spend(_ index: Int) {
        let key = spenderKey(index)
        let spender = spenders[index]
        let verdict: BudgetBook.Verdict
        if !spender.isHeld {
            verdict = database.money.reserve(
                ReservationRequest(key: key, amount: spender.amount, timeToLiveSeconds: 60, principal: "me"), now: now)
        } else {
            let operation: BudgetBook.Operation =
                spender.commits
                ? .commit(key, actual: spender.used, principal: "me") : .release(key, principal: "me")
            verdict = database.money.settle(operation, on: key, now: now)
        }
        activity += 1
        note("spender \(index): \(verdict)")
        if let fault = database.money.fault { complain(fault) }
        let isLost = misfortune(3)
        if !isLost {
            switch verdict {
            case .denied, .conflict, .mismatch, .unknown: spenders[index].isRefused = true
            case .reserved: spenders[index].isHeld = true
            case .replayed where !spender.isHeld: spenders[index].isHeld = true
            case .settled, .replayed: spenders[index].isSettled = true
            }
        }
        spenders[index].repeats += 1
        let isDone = spenders[index].isSettled || spenders[index].isRefused
        if !isDone || (misfortune(4) && spenders[index].repeats < 9) {
            plan(.spend(index), after: isCalm ? 1 : dice.between(0.1, 40))
        }
    }

    func spenderKey(_ index: Int) -> Reservation.Key {
        guard let request = BudgetRequestID("spender-\(index)") else { preconditionFailure("a valid id") }
        return Reservation.Key(tenant: Scenes.tenant, project: Scenes.project, request: request)
    }
}
