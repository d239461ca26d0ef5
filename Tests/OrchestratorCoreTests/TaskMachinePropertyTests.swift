import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// Whatever happens in whatever order, a task ends once and one result counts.
@Suite struct `Task machine, any sequence of events` {
    /// SplitMix64: the same seed gives the same sequence.
    private struct Dice {
        var state: UInt64

        mutating func roll(_ sides: Int) -> Int {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Int((mixed ^ (mixed >> 31)) % UInt64(sides))
        }
    }

    private static let workflows: [[Stage]] = [
        [Reviewed.work, Reviewed.review], [Reviewed.work, Reviewed.review, `Task stages`.signOff],
        [
            `Task stages`.work("work", guards: [.hasTests]), Reviewed.review, `Task stages`.work("deploy"),
            Reviewed.review,
        ],
        [Reviewed.work, `Task stages`.signOff, Reviewed.review],
        [Reviewed.work, Tested.stage, Reviewed.review],
    ]

    /// Everything anybody could say about the task right now, half of it about something that is over.
    private static func event(_ task: TaskRecord, _ token: String, _ dice: inout Dice) throws -> TaskMachine.Event {
        let isCurrent = dice.roll(2) == 0
        let lease = isCurrent ? task.lease?.token ?? token : token
        let attempt = isCurrent ? task.attempt : dice.roll(task.attempt + 1)
        let session = ReviewID(lease) ?? Reviewed.session(at: Double(dice.roll(400)))
        switch dice.roll(20) {
        case 17: return .unsent(attempt: attempt)
        case 18: return .unfinished(ExecutionID(lease) ?? Tested.execution(), .waiting)
        case 19: return .unfinished(ExecutionID(lease) ?? Tested.execution(), .running(since: epoch))
        case 13: return .executed(Tested.report(Tested.ok, ExecutionID(lease)))
        case 14: return .executed(Tested.report(Tested.failing, ExecutionID(lease)))
        case 15: return .executed(Tested.report(Tested.lost, ExecutionID(lease)))
        case 0, 1: return .dispatched(token: token, input: .null)
        case 2, 3: return report(success, attempt: attempt, lease: lease)
        case 4:
            let output = try JSON(parsing: #"{"checks":{"has_tests":true}}"#.utf8)
            return report(.completed(output: output, usage: nil), attempt: attempt, lease: lease)
        case 5: return report(dice.roll(2) == 0 ? transient : permanent, attempt: attempt, lease: lease)
        case 6: return .deadlinePassed
        case 7: return .reviewDecided(try Reviewed.decision(.approved, session: session, of: task))
        case 8: return .reviewDecided(try Reviewed.decision(.rejected, session: session, of: task))
        case 9:
            let statuses = [ReviewStatus.escalated, .rejected]
            return .reviewDecided(try Reviewed.decision(statuses[dice.roll(2)], session: session, of: task))
        case 10: return `Task stages`.approval(.approve(reason: nil), isCurrent ? task.lease?.token : token)
        case 11: return report(.escalated(reason: "which?"), attempt: attempt, lease: lease)
        case 12: return buried(attempt: attempt, lease: lease)
        default:
            let id = EscalationID(lease) ?? EscalationID(newTask().id.uuid)
            let resolutions = [Resolution.retry(plan: nil), .approve, .reassign(Reviewed.tester, plan: nil)]
            return `Task stages`.resolution(resolutions[dice.roll(3)], id)
        }
    }

    private struct Seen {
        var ends = 0
        var asked: Set<ReviewID> = []
        var open: Set<ReviewID> = []
        var decided: Set<ReviewID> = []
        var run: Set<ExecutionID> = []
        var running: Set<ExecutionID> = []
    }

    private static func check(
        _ before: TaskRecord, _ after: TaskRecord, _ effects: [TaskMachine.Effect], _ event: TaskMachine.Event,
        _ seen: inout Seen
    ) {
        #expect(!before.state.isTerminal, "What has ended stays as it is.")
        if case .reviewDecided(let decision) = event {
            let wasOpen = seen.open.remove(decision.session) != nil
            let isFirst = seen.decided.insert(decision.session).inserted
            #expect(wasOpen && isFirst, "Only what is waited for counts, and once.")
        }
        if case .executed(let report) = event {
            let wasRunning = seen.running.remove(report.execution) != nil
            #expect(wasRunning, "Only the run that is waited for counts, and once.")
        }
        for (index, effect) in effects.enumerated() {
            switch effect {
            case .record(let told):
                if told.kind.endsTask { seen.ends += 1 }
                #expect(told.kind.endsTask == false || after.state.isTerminal)
            case .execute(let execution):
                let isNew = seen.run.insert(execution).inserted
                #expect(isNew, "A run is asked for once.")
                #expect(after.state == .testing && after.lease?.token == execution.description && index > 0)
                seen.running.insert(execution)
            case .stopExecution(let execution):
                let wasRunning = seen.running.remove(execution) != nil
                #expect(wasRunning)
            case .review(let session):
                let isNew = seen.asked.insert(session).inserted
                #expect(isNew, "A session is asked for once.")
                #expect(after.state == .reviewing && after.lease?.token == session.description && index > 0)
                seen.open.insert(session)
            case .closeReview(let closing):
                let wasOpen = seen.open.remove(closing.session) != nil
                #expect(wasOpen)
            case .withdraw(let attempt):
                #expect(attempt == after.attempt && after.state == .queued && after.lease == nil)
            case .hand, .stop, .keep, .queue, .free, .escalate, .settle: break
            }
        }
        #expect(after.rework <= Workflow.reworkMax && after.rework >= before.rework)
        #expect(seen.open.count <= 1 && (after.state == .reviewing) == (seen.open.count == 1))
        #expect(seen.running.count <= 1 && (after.state == .testing) == (seen.running.count == 1))
        if after.state == .reviewing || after.state == .testing { #expect(after.draft != nil && after.author != nil) }
        #expect(after.reviewRound == seen.asked.count)
        #expect(after.attempt >= before.attempt && (0...after.attempt).contains(after.stageAttempt))
    }

    @Test(arguments: 0..<UInt64(400))
    func `ends at most once, waits for one session at a time, and no answer counts twice`(seed: UInt64) throws {
        var dice = Dice(state: seed)
        let stages = Self.workflows[Int(seed) % Self.workflows.count]
        var task = runningTask()
        var seen = Seen()
        var seconds = 1.0
        for step in 0..<120 {
            // A later step never has an earlier one's time, so that names of questions differ as they do in life.
            seconds += [0.5, 1, 70, 300][dice.roll(4)]
            let context = TaskMachine.Context(
                now: epoch.addingTimeInterval(seconds),
                workflow: Workflow(
                    name: newTask().workflow, version: 1, stages: stages, escalatesOnFailure: seed % 3 == 0),
                jitter: 0, random: (UInt64(step), seed)
            )
            let event =
                step == 119 ? TaskMachine.Event.cancelRequested(reason: "r") : try Self.event(task, "t\(step)", &dice)
            guard case .changed(let next, let effects) = TaskMachine.decide(task, event, context: context) else {
                continue
            }
            Self.check(task, next, effects, event, &seen)
            task = next
        }
        if case .canceling(let lease, _) = task.phase {
            let late = TaskMachine.Context(
                now: lease.deadline, workflow: `Task stages`.context(0, stages).workflow, jitter: 0, random: (0, 0))
            guard case .changed(let next, let effects) = TaskMachine.decide(task, .deadlinePassed, context: late) else {
                Issue.record("a cancellation must end")
                return
            }
            Self.check(task, next, effects, .deadlinePassed, &seen)
            task = next
        }
        #expect(task.state.isTerminal && seen.ends == 1)
    }
}
