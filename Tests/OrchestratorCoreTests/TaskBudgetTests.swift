import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// What reported usage does to a task that may use 100 tokens.
@Suite struct `Task budgets` {
    private static func limitedTask(_ tokens: Int? = 100, attemptMax: Int = 3) -> TaskRecord {
        TaskRecord(
            id: newTask().id, tenant: acme, project: ProjectID(literal: "p"), principal: "me", name: nil,
            workflow: WorkflowName(literal: "single"), workflowVersion: 1, priority: 5, labels: [:], traceparent: nil,
            createdAt: epoch, overrides: TaskRecord.Overrides(timeoutSeconds: 60, attemptMax: attemptMax),
            budgetTokens: tokens, stage: 0, role: developer, phase: .queued(runAt: epoch), updatedAt: epoch
        )
    }

    private static func progress(_ number: Int, _ tokens: Int) -> AgentReport.Body {
        .progress(number: number, message: "m", data: nil, usage: .init(tokens: tokens))
    }

    private static func busy(_ tokens: Int) -> AgentReport.Body {
        .failed(.init(code: "busy", message: "later", isRetryable: true, usage: .init(tokens: tokens)))
    }

    private static func running(_ task: TaskRecord = limitedTask()) -> TaskRecord {
        TaskMachine.admit(task, lease: ("lease-1", .null), context: context()).0
    }

    /// (what, the attempt's reports) -> (state, usage, error code, effects of the last)
    static let stories: [(String, [AgentReport.Body], TaskState, Int, String?, [String])] = [
        ("within", [progress(1, 60), progress(2, 100)], .developing, 100, nil, ["task.progress"]),
        (
            "one token too many", [progress(1, 60), progress(2, 101)], .failed, 101, "budget_exhausted",
            ["task.progress", "stop", "free", "task.failed"]
        ),
        ("usage never shrinks", [progress(1, 60), progress(2, 20)], .developing, 60, nil, ["task.progress"]),
        (
            "the outcome's usage replaces progress",
            [progress(1, 60), .completed(output: .null, usage: .init(tokens: 70))], .completed, 70, nil,
            ["free", "task.completed"]
        ),
        (
            "an outcome without usage keeps progress'", [progress(1, 60), .completed(output: .null, usage: nil)],
            .completed, 60, nil, ["free", "task.completed"]
        ),
        (
            "done with too many is done", [.completed(output: .null, usage: .init(tokens: 500))], .completed, 500, nil,
            ["free", "task.completed"]
        ),
        ("failure with some left", [busy(99)], .queued, 99, nil, ["task.retrying", "free", "queue"]),
        ("failure with none left", [busy(100)], .failed, 100, "budget_exhausted", ["free", "task.failed"]),
        (
            "rejection counts too", [.rejected(reason: "no", usage: .init(tokens: 5))], .rejected, 5, "rejected",
            ["free", "task.rejected"]
        ),
    ]

    @Test(arguments: stories.indices)
    func `usage is counted once and ends a task that may not go on`(index: Int) {
        let (what, reports, state, usage, code, effects) = Self.stories[index]
        var task = Self.running()
        var last: [String] = []
        for body in reports {
            let decision = TaskMachine.decide(task, report(body), context: context(1))
            last = decision.effects
            task = decision.task ?? task
        }
        #expect(task.state == state && task.usageTokens == usage, "\(what): \(task.state) \(task.usageTokens)")
        #expect(last == effects, "\(what)")
        switch task.phase {
        case .ended(.failed(let found, let message), _):
            #expect(found == code && message.contains("100 tokens") && message.contains("\(usage) were used"))
        case .ended(.rejected, _): #expect(code == "rejected")
        case .ended, .queued, .running, .canceling, .waiting: #expect(code == nil, "\(what)")
        }
    }

    @Test func `each attempt's usage adds to the ones before, a lost attempt's too`() throws {
        var task = Self.running()
        let story: [TaskMachine.Event] = [
            report(Self.progress(1, 30)), .deadlinePassed, .dispatched(token: "lease-2", input: .null),
            report(Self.progress(1, 25), attempt: 2, lease: "lease-2"),
        ]
        for (index, event) in story.enumerated() {
            task = try #require(TaskMachine.decide(task, event, context: context(Double(index + 1) * 100)).task)
        }
        #expect(task.usageTokens == 55 && task.attemptTokens == 25 && task.budgetLeft == 45)
    }

    @Test func `work says what is left`() throws {
        let first = TaskMachine.decide(Self.running(), report(Self.busy(30)), context: context(1))
        let retried = try #require(first.task)
        let again = TaskMachine.decide(retried, .dispatched(token: "x", input: .null), context: context(100))
        guard case .changed(_, let effects) = again else { throw Unexpected() }
        let items = effects.compactMap { if case .hand(let item) = $0 { item } else { nil } }
        #expect(items.map(\.budgetLeft) == [70])
        let unlimited = TaskMachine.admit(newTask(), lease: ("l", .null), context: context()).1
        #expect(unlimited.contains { if case .hand(let item) = $0 { item.budgetLeft == nil } else { false } })
    }

    @Test func `the next stage does not begin with nothing left`() {
        let done = AgentReport.Body.completed(output: .null, usage: .init(tokens: 100))
        let decision = TaskMachine.decide(Self.running(), report(done), context: context(1, stages: 2))
        #expect(decision.task?.state == .failed)
        let last = TaskMachine.decide(Self.running(), report(done), context: context(1, stages: 1))
        #expect(last.task?.state == .completed)
    }

    @Test func `usage reported while canceling still counts`() throws {
        let stop = TaskMachine.decide(Self.running(), .cancelRequested(reason: "r"), context: context(1))
        let canceling = try #require(stop.task)
        let ended = TaskMachine.decide(canceling, report(Self.busy(40)), context: context(2))
        #expect(ended.task?.state == .canceled && ended.task?.usageTokens == 40)
    }

    @Test(
        arguments: [
            (.approved, 50, .completed), (.rejected, 39, .queued), (.rejected, 40, .failed),
            (.escalated, 40, .escalated),
        ] as [(ReviewStatus, Int, TaskState)]
    )
    func `what reviewers used counts with their decision, as an attempt's does`(
        _ status: ReviewStatus, _ used: Int, _ state: TaskState
    ) throws {
        let done = AgentReport.Body.completed(output: .null, usage: .init(tokens: 60))
        let reviewed = Reviewed.context()
        let waiting = try #require(TaskMachine.decide(Self.running(), report(done), context: reviewed).task)
        let request = TaskMachine.reviewRequest(
            of: waiting, artifact: .null, owner: "o", workflow: reviewed.workflow)
        #expect(request?.budgetLeft == 40)
        let decided = TaskMachine.Event.reviewDecided(
            try Reviewed.decision(status, of: waiting, usageTokens: used))
        let after = try #require(TaskMachine.decide(waiting, decided, context: Reviewed.context(2)).task)
        #expect(after.state == state && after.usageTokens == 60 + used)
        if case .ended(.failed(let code, _), _) = after.phase { #expect(code == "budget_exhausted") }
    }

    @Test func `what an analyst used counts with the resolution, and may leave nothing for it`() throws {
        let stuck = AgentReport.Body.failed(
            .init(code: "stuck", message: "no way", isRetryable: false, usage: .init(tokens: 60)))
        let failing = `Task stages`.context(1, escalates: true)
        let escalated = try #require(TaskMachine.decide(Self.running(), report(stuck), context: failing).task)
        let id = try #require(escalated.lease.flatMap { EscalationID($0.token) })
        func resolve(_ resolution: Resolution, _ tokens: Int) -> TaskMachine.Decision {
            let event = TaskMachine.Event.escalationResolved(id, by: "s", resolution, usageTokens: tokens)
            return TaskMachine.decide(escalated, event, context: `Task stages`.context(2, escalates: true))
        }
        #expect(resolve(.retry(plan: nil), 39).task?.usageTokens == 99)
        #expect(resolve(.retry(plan: nil), 40).reason == .budgetUsedUp)
        let canceled = try #require(resolve(.cancel(reason: "r"), 40).task)
        #expect(canceled.state == .canceled && canceled.usageTokens == 100)
    }

    private struct Unexpected: Error {}
}
