import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// Stages that judge work, rework and escalations.
@Suite struct `Task stages` {
    static let question = TaskID(at: epoch.addingTimeInterval(1), random: (3, 4)).description

    static func work(_ name: String, guards: [Guard] = []) -> Stage {
        Stage(
            name: name, kind: .work(state: .developing), role: developer, timeout: .seconds(60), attemptMax: 3,
            guards: guards
        )
    }

    static let signOff = Stage(
        name: "sign-off", kind: .approve, role: developer, timeout: .seconds(100), attemptMax: 1, guards: [])

    static func context(
        _ seconds: Double = 1, _ stages: [Stage] = [work("work"), signOff], escalates: Bool = false
    ) -> TaskMachine.Context {
        TaskMachine.Context(
            now: epoch.addingTimeInterval(seconds),
            workflow: Workflow(
                name: WorkflowName(literal: "single"), version: 1, stages: stages, escalatesOnFailure: escalates),
            jitter: 1, random: (3, 4)
        )
    }

    static func after(_ task: TaskRecord, _ event: TaskMachine.Event, _ context: TaskMachine.Context) -> TaskRecord {
        TaskMachine.decide(task, event, context: context).task ?? task
    }

    /// Work was done and somebody is asked.
    static let waiting = after(runningTask(), report(success), context())
    /// Nobody answered in time.
    static let escalated = after(waiting, .deadlinePassed, context(101))
    static var escalation: EscalationID {
        EscalationID(TaskID(at: epoch.addingTimeInterval(101), random: (3, 4)).uuid)
    }
    /// An agent failed for good, and nothing was made.
    static let failed = after(runningTask(), report(permanent), context(101, escalates: true))

    static func approval(_ verdict: TaskMachine.Approval, _ question: String? = nil) -> TaskMachine.Event {
        .approvalGiven(question: question, by: "ada", verdict: verdict)
    }

    static func resolution(_ resolution: Resolution, _ id: EscalationID = escalation) -> TaskMachine.Event {
        .escalationResolved(id, by: "ada", resolution)
    }

    static let plan = JSONWriter.object { $0.field("note", "again") }
    static let tester = AgentRole(literal: "tester")

    /// (what, task, event, context) -> (state, effects)
    static let changes: [(String, TaskRecord, TaskMachine.Event, TaskMachine.Context, TaskState, [String])] = [
        (
            "done work is put before a human", runningTask(), report(success), context(), .awaitingApproval,
            ["task.stage_completed", "free", "task.approval_requested"]
        ),
        (
            "approved", waiting, approval(.approve(reason: nil)), context(2), .completed,
            ["task.approved", "task.completed"]
        ),
        (
            "approved by the question's name", waiting, approval(.approve(reason: "fine"), question), context(2),
            .completed, ["task.approved", "task.completed"]
        ),
        (
            "approved, with work to come", waiting, approval(.approve(reason: nil)),
            context(2, [work("work"), signOff, work("deploy")]), .queued,
            ["task.approved", "task.stage_completed", "queue"]
        ),
        ("rejected", waiting, approval(.reject(reason: "no")), context(2), .rejected, ["task.rejected"]),
        (
            "canceled while it waits", waiting, .cancelRequested(reason: "r"), context(2), .canceled, ["task.canceled"]
        ),
        ("nobody answered", waiting, .deadlinePassed, context(101), .escalated, ["task.escalated", "escalate"]),
        (
            "failed for good, escalated", runningTask(), report(permanent), context(1, escalates: true), .escalated,
            ["free", "task.escalated", "escalate"]
        ),
        (
            "attempts used up, escalated", runningTask(attemptMax: 1), report(transient), context(1, escalates: true),
            .escalated, ["free", "task.escalated", "escalate"]
        ),
        (
            "last deadline passed, escalated", runningTask(attemptMax: 1), .deadlinePassed,
            context(60, escalates: true), .escalated, ["stop", "free", "task.escalated", "escalate"]
        ),
        (
            "retry", escalated, resolution(.retry(plan: plan)), context(102), .queued,
            ["settle", "task.resolved", "queue"]
        ),
        (
            "reassign", escalated, resolution(.reassign(tester, plan: nil)), context(102), .queued,
            ["settle", "task.resolved", "queue"]
        ),
        (
            "less to do", escalated, resolution(.lowerScope(plan: plan)), context(102), .queued,
            ["settle", "task.resolved", "queue"]
        ),
        (
            "more time for a human", escalated, resolution(.raiseDeadline(seconds: 50, plan: nil)), context(102),
            .awaitingApproval, ["settle", "task.resolved", "task.approval_requested"]
        ),
        (
            "more time for an agent", failed, resolution(.raiseDeadline(seconds: 50, plan: plan)),
            context(102, escalates: true), .queued, ["settle", "task.resolved", "queue"]
        ),
        (
            "approve", escalated, resolution(.approve), context(102), .completed,
            ["settle", "task.resolved", "task.completed"]
        ),
        (
            "reject", escalated, resolution(.reject(reason: "no")), context(102), .rejected,
            ["settle", "task.resolved", "task.rejected"]
        ),
        (
            "cancel", escalated, resolution(.cancel(reason: "no")), context(102), .canceled,
            ["settle", "task.resolved", "task.canceled"]
        ),
        (
            "cancel by the task's owner", escalated, .cancelRequested(reason: "r"), context(102), .canceled,
            ["settle", "task.resolved", "task.canceled"]
        ),
        (
            "nobody resolved it", escalated, .deadlinePassed, context(101 + TaskMachine.resolutionTimeout), .failed,
            ["settle", "task.failed"]
        ),
    ]

    @Test(arguments: changes.indices)
    func `each valid event leads to its state and effects`(index: Int) {
        let (what, task, event, context, state, effects) = Self.changes[index]
        let decision = TaskMachine.decide(task, event, context: context)
        #expect(decision.task?.state == state, "\(what): \(decision)")
        #expect(decision.effects == effects, "\(what)")
    }

    /// (what, task, event, context) -> reason
    static let refusals: [(String, TaskRecord, TaskMachine.Event, TaskMachine.Context, TaskMachine.Reason)] = [
        ("another question", waiting, approval(.approve(reason: nil), "x"), context(2), .lost),
        ("its agent's second outcome", waiting, report(transient), context(2), .lost),
        ("dispatch while it waits", waiting, .dispatched(token: "x", input: .null), context(2), .notApplicable),
        ("deadline not yet passed", waiting, .deadlinePassed, context(100), .notApplicable),
        ("resolution without escalation", waiting, resolution(.approve), context(2), .notApplicable),
        (
            "another escalation", escalated, resolution(.approve, EscalationID(newTask().id.uuid)), context(102), .lost
        ),
        ("approval of an escalated task", escalated, approval(.approve(reason: nil)), context(102), .notApplicable),
        ("report to an escalated task", escalated, report(success), context(102), .lost),
        (
            "dispatch of an escalated task", escalated, .dispatched(token: "x", input: .null), context(102),
            .notApplicable
        ),
        ("escalation still young", escalated, .deadlinePassed, context(200), .notApplicable),
        ("approval of nothing", failed, resolution(.approve), context(102, escalates: true), .nothingMade),
        ("approval while queued", newTask(), approval(.approve(reason: nil)), context(), .notApplicable),
        ("approval while running", runningTask(), approval(.approve(reason: nil)), context(), .notApplicable),
        ("resolution while queued", newTask(), resolution(.approve), context(), .notApplicable),
        ("resolution while running", runningTask(), resolution(.approve), context(), .notApplicable),
    ]

    @Test(arguments: refusals.indices)
    func `each invalid event changes nothing and says why`(index: Int) {
        let (what, task, event, context, reason) = Self.refusals[index]
        #expect(TaskMachine.decide(task, event, context: context).reason == reason, "\(what)")
    }

    @Test func `whatever ends a judged task ends it once`() {
        let endings: [(TaskRecord, TaskMachine.Event)] = [
            (Self.waiting, Self.approval(.approve(reason: nil))), (Self.waiting, Self.approval(.reject(reason: "no"))),
            (Self.escalated, Self.resolution(.approve)), (Self.escalated, Self.resolution(.reject(reason: "no"))),
            (Self.escalated, Self.resolution(.cancel(reason: "no"))),
        ]
        let events: [TaskMachine.Event] = [
            Self.approval(.approve(reason: nil)), Self.approval(.reject(reason: "no")), Self.resolution(.approve),
            Self.resolution(.retry(plan: nil)), .deadlinePassed, .cancelRequested(reason: "r"), report(success),
            .dispatched(token: "x", input: .null),
        ]
        for (task, ending) in endings {
            let ended = Self.after(task, ending, Self.context(102))
            #expect(ended.state.isTerminal && ended.plan == nil)
            for event in events {
                #expect(TaskMachine.decide(ended, event, context: Self.context(1e9)).reason == .ended)
            }
        }
    }

    @Test func `what was made is kept while it is judged and becomes the output`() throws {
        #expect(Self.waiting.draft == .new(.emptyObject))
        let done = Self.after(Self.waiting, Self.approval(.approve(reason: nil)), Self.context(2))
        guard case .ended(.completed(let output), _) = done.phase else { throw Unexpected() }
        #expect(output == nil, "The store takes the draft.")
    }

    @Test func `a retry hands out the plan, and what was made, with all attempts anew`() throws {
        let retried = Self.after(Self.escalated, Self.resolution(.retry(plan: Self.plan)), Self.context(102))
        #expect(retried.stage == 0 && retried.stageAttempt == 0 && retried.plan == Self.plan)
        let handed = TaskMachine.decide(
            retried, .dispatched(token: "l2", input: .null, previous: .emptyObject), context: Self.context(103))
        guard case .changed(_, let effects) = handed else { throw Unexpected() }
        let items = effects.compactMap { if case .hand(let item) = $0 { item } else { nil } }
        #expect(items.map(\.plan) == [Self.plan] && items.map(\.previous) == [.emptyObject])
        #expect(items.map(\.attempt) == [2], "Reports of the first attempt stay fenced.")
        let reassigned = Self.after(
            Self.escalated, Self.resolution(.reassign(Self.tester, plan: nil)), Self.context(102))
        #expect(reassigned.role == Self.tester)
    }

    @Test func `a raised deadline is the next attempts', or the same question's`() {
        let asked = Self.after(
            Self.escalated, Self.resolution(.raiseDeadline(seconds: 50, plan: nil)), Self.context(102))
        #expect(asked.lease?.deadline == epoch.addingTimeInterval(152))
        #expect(asked.lease?.token != Self.question, "An answer to the question before does not count.")
        for (seconds, given) in [(50, 50), (Resolution.secondsRange.upperBound, 86_400)] {
            let resolution = Self.resolution(.raiseDeadline(seconds: seconds, plan: Self.plan))
            let handed = Self.after(Self.failed, resolution, Self.context(102, escalates: true))
            #expect(handed.overrides.timeoutSeconds == given && handed.plan == Self.plan && handed.stageAttempt == 0)
        }
    }

    @Test func `a guard that fails sends the work to its fixer, three times, then to the supervisor`() throws {
        let stages = [Self.work("work", guards: [.hasTests, .codeQuality])]
        func output(_ checks: String) throws -> AgentReport.Body {
            .completed(output: try JSON(parsing: #"{"checks":\#(checks)}"#.utf8), usage: nil)
        }
        var task = runningTask()
        for round in 1...Workflow.reworkMax {
            let answer = try output(round == 1 ? #"{"has_tests":false,"code_quality":true}"# : #"{"has_tests":true}"#)
            let lease = round == 1 ? "lease-1" : "again"
            let sentBack = TaskMachine.decide(
                task, report(answer, attempt: round, lease: lease), context: Self.context(Double(round), stages))
            #expect(sentBack.effects == ["task.reworking", "free", "queue"])
            let queued = try #require(sentBack.task)
            #expect(queued.rework == round && queued.role.text == (round == 1 ? "tester" : "developer"))
            #expect(queued.plan?.text.contains(round == 1 ? "has_tests" : "code_quality") == true)
            task = Self.after(queued, .dispatched(token: "again", input: .null), Self.context(Double(round), stages))
        }
        let last = report(success, attempt: 4, lease: "again")
        let decision = TaskMachine.decide(task, last, context: Self.context(9, stages))
        #expect(decision.task?.state == .escalated && decision.effects == ["free", "task.escalated", "escalate"])
        guard case .changed(_, let effects) = decision else { throw Unexpected() }
        let causes = effects.compactMap { if case .escalate(_, let cause) = $0 { cause } else { nil } }
        #expect(causes.map(\.failedGuard) == [.hasTests] && causes.map(\.source) == [.guardFailure])
        let good = try output(#"{"has_tests":true,"code_quality":true}"#)
        let passed = TaskMachine.decide(
            task, report(good, attempt: 4, lease: "again"), context: Self.context(9, stages))
        #expect(passed.task?.state == .completed)
    }

    @Test func `a guard counts only what an output says of itself plainly`() throws {
        let texts: [(String, Bool)] = [
            (#"{"checks":{"has_tests":true}}"#, true), (#"{"checks":{"has_tests":"true"}}"#, false),
            (#"{"checks":{"has_tests":1}}"#, false), (#"{"checks":true}"#, false), (#"{"has_tests":true}"#, false),
            ("{}", false), ("null", false), (#""has_tests""#, false), ("[]", false),
        ]
        for (text, holds) in texts {
            #expect(Guard.hasTests.holds(in: try JSON(parsing: text.utf8)) == holds, "\(text)")
        }
    }

    @Test func `each stage of work has its own limits unless the task asked for others`() {
        let quick = Stage(
            name: "deploy", kind: .work(state: .deploying), role: Self.tester, timeout: .seconds(5), attemptMax: 1,
            guards: [])
        let stages = [Self.work("work"), quick]
        let next = Self.after(runningTask(), report(success), Self.context(1, stages))
        #expect(next.role == Self.tester && next.overrides == .init(timeoutSeconds: 5, attemptMax: 1))
        let asked = Self.after(runningTask(attemptMax: 9), report(success), Self.context(1, stages))
        #expect(asked.overrides == .init(timeoutSeconds: 5, attemptMax: 9))
    }

    @Test func `every wait explains itself and says what to do`() {
        let facts = Explanation.Facts(now: epoch, slots: [:], ahead: 0, aheadMax: 10, holder: nil, queue: nil)
        let approval = Explanation.of(Self.waiting, facts)
        #expect(
            approval.summary.contains("approve or reject") && approval.next?.contains("golden tasks approve") == true)
        let escalated = Explanation.of(Self.escalated, facts)
        #expect(escalated.summary.contains("escalated"))
        #expect(escalated.next == "golden escalations show \(Self.escalation)")
    }

    private struct Unexpected: Error {}
}
