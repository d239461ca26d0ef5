import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

@Suite struct `Task machine` {
    @Test func `a new task waits, or starts at once when it is handed a lease`() {
        let (waiting, effects) = TaskMachine.admit(newTask(), lease: nil, context: context())
        #expect(waiting.state == .queued)
        #expect(TaskMachine.Decision.changed(waiting, effects).effects == ["task.created", "queue"])

        let (started, more) = TaskMachine.admit(newTask(), lease: ("l", .null), context: context())
        #expect(started.state == .developing)
        #expect(started.attempt == 1)
        #expect(started.lease?.deadline == epoch.addingTimeInterval(60))
        #expect(TaskMachine.Decision.changed(started, more).effects == ["task.created", "task.dispatched", "hand"])
    }

    /// (what, task, event, seconds later) -> (state, effects)
    static let changes: [(String, TaskRecord, TaskMachine.Event, Double, TaskState, [String])] = [
        ("dispatch", newTask(), .dispatched(token: "x", input: .null), 0, .developing, ["task.dispatched", "hand"]),
        ("cancel while queued", newTask(), .cancelRequested(reason: "r"), 0, .canceled, ["task.canceled"]),
        ("success", runningTask(), report(success), 1, .completed, ["free", "task.completed"]),
        (
            "progress", runningTask(), report(.progress(number: 1, message: "m", data: nil)), 1, .developing,
            ["task.progress"]
        ),
        ("retry", runningTask(), report(transient), 1, .queued, ["task.retrying", "free", "queue"]),
        ("last attempt", runningTask(attemptMax: 1), report(transient), 1, .failed, ["free", "task.failed"]),
        ("permanent failure", runningTask(), report(permanent), 1, .failed, ["free", "task.failed"]),
        ("rejection", runningTask(), report(.rejected(reason: "no")), 1, .rejected, ["free", "task.rejected"]),
        (
            "an agent asks how to go on", runningTask(), report(.escalated(reason: "which of the two?")), 1, .escalated,
            ["free", "task.escalated", "escalate"]
        ),
        (
            "a dead letter of the attempt", runningTask(), buried(), 1, .escalated,
            ["stop", "free", "task.escalated", "escalate"]
        ),
        (
            "cancel while running", runningTask(), .cancelRequested(reason: "r"), 1, .canceling,
            ["task.canceling", "stop"]
        ),
        (
            "deadline with attempts left", runningTask(), .deadlinePassed, 60, .queued,
            ["stop", "task.retrying", "free", "queue"]
        ),
        (
            "deadline of the last attempt", runningTask(attemptMax: 1), .deadlinePassed, 60, .failed,
            ["stop", "free", "task.failed"]
        ),
        (
            "deadline of a last attempt that nobody was sent", runningTask(attemptMax: 1), .unsent(attempt: 1), 60,
            .queued, ["stop", "withdraw", "task.retrying", "free", "queue"]
        ),
    ]

    @Test(arguments: changes.indices)
    func `each valid event leads to its state and effects`(index: Int) {
        let (what, task, event, seconds, state, effects) = Self.changes[index]
        let decision = TaskMachine.decide(task, event, context: context(seconds))
        #expect(decision.task?.state == state, "\(what)")
        #expect(decision.effects == effects, "\(what)")
    }

    /// (what, task, event, seconds later) -> reason
    static let refusals: [(String, TaskRecord, TaskMachine.Event, Double, TaskMachine.Reason)] = [
        ("older attempt", runningTask(), report(success, attempt: 0), 1, .lost),
        ("newer attempt", runningTask(), report(success, attempt: 2), 1, .lost),
        ("forged lease", runningTask(), report(success, lease: "guess"), 1, .wrongLease),
        ("a dead letter of an older attempt", runningTask(), buried(attempt: 0), 1, .lost),
        ("a dead letter that proves nothing", runningTask(), buried(lease: "guess"), 1, .wrongLease),
        ("a dead letter of a task that waits", newTask(), buried(), 1, .lost),
        ("repeated progress", runningTask(), report(.progress(number: 0, message: "", data: nil)), 1, .repeated),
        ("too much progress", runningTask(), report(.progress(number: 1001, message: "", data: nil)), 1, .tooMuch),
        ("deadline not yet passed", runningTask(), .deadlinePassed, 59, .notApplicable),
        ("unsent work before its deadline", runningTask(), .unsent(attempt: 1), 59, .notApplicable),
        ("unsent work of another attempt", runningTask(), .unsent(attempt: 0), 60, .lost),
        ("unsent work of a task that waits", newTask(), .unsent(attempt: 1), 60, .lost),
        ("second dispatch", runningTask(), .dispatched(token: "y", input: .null), 1, .notApplicable),
        ("result while queued", newTask(), report(success), 1, .lost),
        ("dispatch before its time", newTask(), .dispatched(token: "y", input: .null), -1, .notApplicable),
    ]

    @Test(arguments: refusals.indices)
    func `each invalid event changes nothing and says why`(index: Int) {
        let (what, task, event, seconds, reason) = Self.refusals[index]
        #expect(TaskMachine.decide(task, event, context: context(seconds)).reason == reason, "\(what)")
    }

    @Test func `a terminal state is never left`() throws {
        let events: [TaskMachine.Event] = [
            report(success), report(transient), .cancelRequested(reason: "r"), .deadlinePassed,
            .dispatched(token: "x", input: .null),
        ]
        for ending in [success, permanent, .rejected(reason: "no")] {
            let ended = try #require(TaskMachine.decide(runningTask(), report(ending), context: context(1)).task)
            for event in events {
                #expect(TaskMachine.decide(ended, event, context: context(1000)).reason == .ended)
            }
        }
    }

    @Test func `a canceling task ends as canceled by any outcome or at the end of the grace`() throws {
        let stop = TaskMachine.decide(runningTask(), .cancelRequested(reason: "r"), context: context(1))
        let canceling = try #require(stop.task)
        for outcome in [success, transient, permanent, .rejected(reason: "no")] {
            let decision = TaskMachine.decide(canceling, report(outcome), context: context(2))
            #expect(decision.task?.state == .canceled)
            #expect(decision.effects == ["free", "task.canceled"])
        }
        let tooEarly = TaskMachine.decide(
            canceling, .deadlinePassed, context: context(1 + TaskMachine.cancelGrace - 0.1))
        #expect(tooEarly.reason == .notApplicable)
        let fenced = TaskMachine.decide(canceling, .deadlinePassed, context: context(1 + TaskMachine.cancelGrace))
        #expect(fenced.task?.state == .canceled)
    }

    @Test func `the next attempt fences the one before`() throws {
        let retried = try #require(TaskMachine.decide(runningTask(), report(transient), context: context(1)).task)
        let again = TaskMachine.decide(retried, .dispatched(token: "lease-2", input: .null), context: context(10))
        let second = try #require(again.task)
        #expect(second.attempt == 2)
        #expect(TaskMachine.decide(second, report(success), context: context(11)).reason == .lost)
        let result = TaskMachine.decide(second, report(success, attempt: 2, lease: "lease-2"), context: context(11))
        #expect(result.task?.state == .completed)
        #expect(result.task?.usageTokens == 7)
    }

    @Test func `work that nobody was sent costs no try, and its number is not used again`() throws {
        var task = runningTask(attemptMax: 1)
        for attempt in 1...5 {
            let late = Double(attempt) * 100
            task = try #require(TaskMachine.decide(task, .unsent(attempt: attempt), context: context(late)).task)
            #expect(task.state == .queued && task.attempt == attempt && task.stageAttempt == 0)
            let wait = pow2(attempt - 1)
            #expect(task.phase == .queued(runAt: epoch.addingTimeInterval(late + wait)), "each wait is twice the last")
            let stale = report(success, attempt: attempt, lease: "lease-\(attempt)")
            #expect(TaskMachine.decide(task, stale, context: context(late)).reason == .lost, "it was sent after all")
            let next = TaskMachine.Event.dispatched(token: "lease-\(attempt + 1)", input: .null)
            task = try #require(TaskMachine.decide(task, next, context: context(late + wait)).task)
            #expect(task.attempt == attempt + 1 && task.stageAttempt == 1)
            #expect(TaskMachine.decide(task, stale, context: context(late + wait)).reason == .lost)
        }
        let done = TaskMachine.decide(task, report(success, attempt: 6, lease: "lease-6"), context: context(520))
        #expect(done.task?.state == .completed)
    }

    @Test func `an attempt that was heard of was sent`() throws {
        let progress = report(.progress(number: 1, message: "m", data: nil))
        let heard = try #require(TaskMachine.decide(runningTask(attemptMax: 1), progress, context: context(1)).task)
        let late = TaskMachine.decide(heard, .unsent(attempt: 1), context: context(60))
        #expect(late.task?.state == .failed && late.effects == ["stop", "free", "task.failed"])
    }

    @Test func `waits double with full jitter and honour the agent's wish`() throws {
        var task = runningTask(attemptMax: 20)
        for attempt in 1...12 {
            let failed = report(transient, attempt: attempt, lease: "lease-\(attempt)")
            let half = TaskMachine.decide(task, failed, context: context(0, jitter: 0.5)).task
            let ceiling = min(pow2(attempt - 1), TaskMachine.backoffCap)
            #expect(half?.phase == .queued(runAt: epoch.addingTimeInterval(ceiling / 2)))
            let next = TaskMachine.Event.dispatched(token: "lease-\(attempt + 1)", input: .null)
            let waiting = try #require(half)
            task = try #require(TaskMachine.decide(waiting, next, context: context(1000)).task)
        }
        for (wished, wait) in [(90, 90), (0, 1), (-5, 1), (86_401, 86_400), (1_764_000_000, 86_400), (.max, 86_400)] {
            let wish = AgentReport.Body.failed(
                .init(code: "c", message: "m", isRetryable: true, retryAfterSeconds: wished))
            let decision = TaskMachine.decide(runningTask(), report(wish), context: context(0))
            #expect(decision.task?.phase == .queued(runAt: epoch.addingTimeInterval(TimeInterval(wait))))
        }
    }

    @Test func `a finished stage leads to the next one with fresh attempts`() throws {
        let decision = TaskMachine.decide(runningTask(), report(success), context: context(1, stages: 2))
        let task = try #require(decision.task)
        #expect(task.state == .queued)
        #expect(task.stage == 1)
        #expect(task.stageAttempt == 0)
        #expect(task.attempt == 1)
        #expect(decision.effects == ["task.stage_completed", "free", "queue"])
    }

    @Test func `events are numbered without gaps`() throws {
        var (task, effects) = TaskMachine.admit(newTask(), lease: ("lease-1", .null), context: context())
        let story: [(Double, TaskMachine.Event)] = [
            (1, report(.progress(number: 1, message: "a", data: nil))), (2, report(transient)),
            (9, .dispatched(token: "lease-2", input: .null)), (80, .deadlinePassed),
            (200, .dispatched(token: "lease-3", input: .null)), (201, report(success, attempt: 3, lease: "lease-3")),
        ]
        for (seconds, event) in story {
            guard case .changed(let next, let more) = TaskMachine.decide(task, event, context: context(seconds)) else {
                Issue.record("\(event) changed nothing")
                return
            }
            task = next
            effects += more
        }
        let numbers = effects.compactMap { effect -> Int? in
            if case .record(let event) = effect { return event.sequence }
            return nil
        }
        #expect(numbers == Array(1...task.eventSequence))
        #expect(task.state == .completed)
    }

    private func pow2(_ exponent: Int) -> Double { (0..<exponent).reduce(1.0) { value, _ in value * 2 } }
}
