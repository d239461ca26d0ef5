import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// Work whose tests the sandbox runs.
@Suite struct `Task executions` {
    private static func decide(
        _ task: TaskRecord, _ outcome: SandboxOutcome, at seconds: Double = 1, execution: ExecutionID? = nil,
        _ stages: [Stage] = Tested.stages
    ) -> TaskMachine.Decision {
        TaskMachine.decide(
            task, .executed(Tested.report(outcome, execution)), context: Tested.context(seconds, stages))
    }

    @Test func `done work goes to the sandbox, without what its agent claims of it`() throws {
        let decision = TaskMachine.decide(runningTask(), report(Tested.done), context: Tested.context())
        let task = try #require(decision.task)
        #expect(task.state == .testing && task.stageAttempt == 1)
        #expect(decision.effects == ["task.stage_completed", "free", "task.execution_requested", "execute"])
        #expect(task.draft == .new(try JSON(parsing: #"{"files":{"a.py":"x = 1\n"}}"#.utf8)))
        let request = try #require(
            try ExecutionPlan.request(of: task, artifact: Tested.artifact, workflow: Tested.context().workflow))
        #expect(request.execution == Tested.execution() && request.task == task.id && request.caller == "stage:test")
        #expect(request.program?.isTest == true && request.program?.language == "python")
        #expect(request.program?.source == .files([.init(path: "a.py", content: Array("x = 1\n".utf8))]))
    }

    @Test func `what passed goes on, with the sandbox's words beside it`() throws {
        let decision = Self.decide(Tested.waiting, Tested.ok)
        #expect(decision.effects == ["task.executed", "task.stage_completed", "task.review_requested", "review"])
        let task = try #require(decision.task)
        guard case .new(let draft) = task.draft else {
            Issue.record("the draft is stored with the run")
            return
        }
        let said = draft.fields?.first { $0.name == "sandbox" }?.value
        #expect(said?.fields?.map(\.name) == ["other", "test"])
        #expect(said?.text.contains(#""status":"ok""#) == true && said?.text.contains("Ran 2 tests") == true)
        #expect(draft.fields?.first?.name == "files")
    }

    /// An outcome, and to whom the work goes back.
    static let refusals: [(String, SandboxOutcome, String)] = [
        ("tests fail", Tested.failing, "developer"), ("no tests", Tested.untested, "tester"),
        ("too slow", Tested.outcome(.ok, code: 0, cpuMilliseconds: 501), "developer"),
        ("endless", Tested.outcome(.timeout), "developer"), ("greedy", Tested.outcome(.memoryLimit), "developer"),
        ("crashed", Tested.outcome(.signal) { $0.signal = 11 }, "developer"),
        ("nothing to run", .failed(SandboxOutcome.Failure.invalidRequest, "It has no files."), "developer"),
    ]

    @Test(arguments: refusals.indices)
    func `what did not pass goes back with what the sandbox saw`(index: Int) throws {
        let (name, outcome, role) = Self.refusals[index]
        let decision = Self.decide(Tested.waiting, outcome)
        let task = try #require(decision.task)
        #expect(decision.effects == ["task.executed", "task.reworking", "queue"], "\(name)")
        #expect(task.state == .queued && task.stage == 0 && task.rework == 1 && task.role.text == role, "\(name)")
        #expect(task.plan?.text.contains(#""execution_id""#) == true, "\(name)")
        #expect((task.plan?.bytes.count ?? 0) <= Resolution.planBytesMax)
    }

    @Test func `without the guards, untested and slow work passes`() {
        let lenient = Stage(
            name: "test", kind: .execute(Tested.terms), role: developer, timeout: .seconds(300), attemptMax: 2,
            guards: [])
        for outcome in [Tested.untested, Tested.outcome(.ok, code: 0, cpuMilliseconds: 501)] {
            let decision = Self.decide(Tested.waiting, outcome, [Reviewed.work, lenient, Reviewed.review])
            #expect(decision.task?.state == .reviewing)
        }
    }

    @Test func `a run that says nothing of the work is tried again, later and under another name`() throws {
        for outcome in [Tested.lost, Tested.outcome(.canceled)] {
            let decision = Self.decide(Tested.waiting, outcome)
            #expect(decision.effects == ["task.executed", "task.retrying", "task.execution_requested", "execute"])
            let again = try #require(decision.task)
            #expect(again.state == .testing && again.stageAttempt == 2 && again.rework == 0)
            #expect(again.lease?.token == Tested.execution(at: 1).description)
            #expect(again.lease?.dispatchedAt == epoch.addingTimeInterval(2), "one second of backoff")
            // The first one's result comes late.
            #expect(Self.decide(again, Tested.ok, at: 2).reason == .lost)
            let last = Self.decide(again, outcome, at: 3, execution: Tested.execution(at: 1))
            #expect(last.task?.state == .failed, "two attempts are all there are")
        }
    }

    @Test func `no result in time, and a cancellation, stop the run`() throws {
        let early = TaskMachine.decide(Tested.waiting, .deadlinePassed, context: Tested.context(299))
        #expect(early.reason == .notApplicable)
        let late = TaskMachine.decide(Tested.waiting, .deadlinePassed, context: Tested.context(300))
        #expect(late.effects == ["stop execution", "task.retrying", "task.execution_requested", "execute"])
        let canceled = TaskMachine.decide(
            Tested.waiting, .cancelRequested(reason: "r"), context: Tested.context(2))
        #expect(canceled.task?.state == .canceled && canceled.effects == ["stop execution", "task.canceled"])
    }

    private static func late(
        _ standing: TaskMachine.RunStanding, at seconds: Double, execution: ExecutionID = Tested.execution(),
        _ context: TaskMachine.Context? = nil
    ) -> TaskMachine.Decision {
        TaskMachine.decide(
            Tested.waiting, .unfinished(execution, standing), context: context ?? Tested.context(seconds))
    }

    /// (how far the sandbox is, when the time for a result is over) -> until when the task waits
    static let standings: [(TaskMachine.RunStanding, Double, Double)] = [
        (.waiting, 300, 600), (.waiting, 3000, 3300), (.waiting, 3700, 3900), (.ended, 300, 600),
        (.running(since: epoch.addingTimeInterval(299)), 300, 599),
        (.running(since: epoch.addingTimeInterval(1)), 300, 301),
        (.running(since: epoch.addingTimeInterval(3700)), 3800, 3900),
    ]

    @Test(arguments: standings.indices)
    func `a run that the sandbox has gets its stage's time, under its name and as the same try`(index: Int) throws {
        let (standing, now, deadline) = Self.standings[index]
        let decision = Self.late(standing, at: now)
        #expect(decision.effects == ["task.progress"], "\(standing)")
        let task = try #require(decision.task)
        #expect(task.lease?.token == Tested.execution().description)
        #expect(task.lease?.deadline == epoch.addingTimeInterval(deadline), "\(standing)")
        #expect(task.lease?.dispatchedAt == epoch.addingTimeInterval(deadline - 300), "as long as before")
        let facts = Explanation.Facts(now: epoch, slots: [:], ahead: 0, aheadMax: 10, holder: nil, queue: nil)
        let told = Explanation.of(task, facts).details
        #expect(told[0].contains("since \(Timestamp.text(epoch))"), "\(told)")
        #expect(task.state == .testing && task.stageAttempt == 1 && task.attempt == Tested.waiting.attempt)
        let passed = TaskMachine.decide(
            task, .executed(Tested.report(Tested.ok)), context: Tested.context(deadline))
        #expect(passed.task?.state == .reviewing)
    }

    @Test func `a run that has had its time is stopped and tried again`() {
        let decision = Self.late(.running(since: epoch), at: 300)
        #expect(decision.effects == ["stop execution", "task.retrying", "task.execution_requested", "execute"])
        #expect(decision.task?.stageAttempt == 2)
    }

    /// Until when the task waits, how far the sandbox is then, and until when it waits after that.
    static let raised: [(Double, TaskMachine.RunStanding, Double)] = [
        (4600, .waiting, 5200), (5200, .waiting, 5800), (5800, .running(since: epoch.addingTimeInterval(5780)), 6380),
    ]

    @Test func `a raised deadline holds for each try, however long the run stands in line`() throws {
        func at(_ seconds: Double) -> TaskMachine.Context {
            `Task stages`.context(seconds, Tested.stages, escalates: true)
        }
        let escalated = try #require(Self.late(.waiting, at: 3900, at(3900)).task)
        let id = EscalationID(TaskID(at: epoch.addingTimeInterval(3900), random: (3, 4)).uuid)
        let raise = `Task stages`.resolution(.raiseDeadline(seconds: 600, plan: nil), id)
        let asked = `Task stages`.after(escalated, raise, at(4000))
        #expect(asked.state == .testing && asked.lease?.deadline == epoch.addingTimeInterval(4600))
        let execution = Tested.execution(at: 4000)
        var task = asked
        for (now, standing, deadline) in Self.raised {
            task = `Task stages`.after(task, .unfinished(execution, standing), at(now))
            #expect(task.lease?.token == execution.description && task.stageAttempt == 1)
            #expect(task.lease?.deadline == epoch.addingTimeInterval(deadline), "\(standing)")
        }
        let begun = TaskMachine.RunStanding.running(since: epoch.addingTimeInterval(5780))
        let again = `Task stages`.after(task, .unfinished(execution, begun), at(6380))
        #expect(again.lease?.token == Tested.execution(at: 6380).description && again.stageAttempt == 2)
        #expect(again.lease?.deadline == epoch.addingTimeInterval(6981), "a second of backoff, and 600")
        // An hour in line and its own time are all it has.
        let waiting = `Task stages`.after(task, .unfinished(execution, .waiting), at(8199))
        #expect(waiting.lease?.deadline == epoch.addingTimeInterval(8200))
        let over = TaskMachine.decide(waiting, .unfinished(execution, .waiting), context: at(8200))
        #expect(over.effects == ["stop execution", "task.escalated", "escalate"])
    }

    @Test func `who stands in line for too long is put before somebody, or fails with the reason`() {
        for standing in [TaskMachine.RunStanding.waiting, .ended, .running(since: epoch.addingTimeInterval(3800))] {
            let failed = Self.late(standing, at: 3900)
            #expect(failed.effects == ["stop execution", "task.failed"])
            guard case .ended(.failed(let code, let message), _) = failed.task?.phase else { continue }
            #expect(code == "deadline_exceeded" && message.contains("3900 s ago"), "\(message)")
            #expect(message.contains("executors") == (standing != .ended), "\(message)")
            let context = `Task stages`.context(3900, Tested.stages, escalates: true)
            let escalated = Self.late(standing, at: 3900, context)
            #expect(escalated.effects == ["stop execution", "task.escalated", "escalate"])
        }
    }

    @Test func `brief stages are looked at once a minute while they stand in line`() {
        let brief = Stage(
            name: "test", kind: .execute(Tested.terms), role: developer, timeout: .seconds(3), attemptMax: 2,
            guards: [])
        var task = Tested.waiting
        task.phase = .waiting(
            .execution,
            TaskRecord.Lease(
                token: Tested.execution().description, dispatchedAt: epoch, deadline: epoch.addingTimeInterval(3)))
        let decision = TaskMachine.decide(
            task, .unfinished(Tested.execution(), .waiting),
            context: Tested.context(3, [Reviewed.work, brief, Reviewed.review]))
        #expect(decision.task?.lease?.deadline == epoch.addingTimeInterval(63))
    }

    @Test func `how far another run is, or one in its time, changes nothing`() {
        #expect(Self.late(.waiting, at: 299).reason == .notApplicable)
        #expect(Self.late(.waiting, at: 300, execution: Tested.execution(at: 1)).reason == .lost)
        let running = TaskMachine.decide(
            runningTask(), .unfinished(Tested.execution(), .waiting), context: Tested.context(300))
        #expect(running.reason == .lost)
    }

    @Test func `after three rounds somebody has to look at it`() throws {
        for (outcome, source) in [
            (Tested.failing, EscalationCause.Source.failure), (Tested.untested, .guardFailure),
        ] {
            var task = Tested.waiting
            for round in 1...Workflow.reworkMax + 1 {
                let start = Double(round) * 10
                let execution = try #require(task.lease.flatMap { ExecutionID($0.token) })
                let decision = Self.decide(task, outcome, at: start, execution: execution)
                task = try #require(decision.task)
                if round > Workflow.reworkMax {
                    #expect(task.state == .escalated)
                    guard case .changed(_, let effects) = decision, case .escalate(_, let cause) = effects.last else {
                        Issue.record("it is escalated")
                        return
                    }
                    #expect(cause.source == source && cause.reason.contains("3 rounds"))
                    break
                }
                task = `Task stages`.after(task, .dispatched(token: "l", input: .null), Tested.context(start + 1))
                task = `Task stages`.after(
                    task, report(Tested.done, attempt: 2 * round + 1, lease: "l"), Tested.context(start + 2))
            }
        }
    }

    @Test func `work without files that could be run is the author's to mend`() throws {
        let workflow = Tested.context().workflow
        let artifacts = [
            "{}", #"{"files":{}}"#, #"{"files":{"../a.py":"x"}}"#, #"{"files":{"a":"x","a/b":"y"}}"#,
            #"{"files":{"a.py":1}}"#, "[]", #"{"files":[]}"#,
        ]
        for text in artifacts {
            #expect(throws: ExecutionPlan.Unrunnable.self, "\(text)") {
                _ = try ExecutionPlan.request(
                    of: Tested.waiting, artifact: JSON(parsing: text.utf8), workflow: workflow)
            }
        }
    }
}
