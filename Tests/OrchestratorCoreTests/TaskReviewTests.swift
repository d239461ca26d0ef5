import Contracts
import FoundationEssentials
import OrchestratorCore
import Testing

/// Work that waits for its peers.
@Suite struct `Task reviews` {
    private typealias Row = (String, TaskRecord, TaskMachine.Event, TaskMachine.Context, TaskState, [String])

    private static func after(
        _ task: TaskRecord, _ event: TaskMachine.Event, _ context: TaskMachine.Context
    ) -> TaskRecord {
        `Task stages`.after(task, event, context)
    }

    /// Refused so often that only a human can go on: the last review began at second 40.
    private static func refused() throws -> TaskRecord {
        var task = Reviewed.waiting
        for round in 1...Workflow.reworkMax {
            let session = try #require(task.lease.flatMap { ReviewID($0.token) })
            task = after(
                task, try Reviewed.decided(.rejected, session: session), Reviewed.context(Double(round) * 10 + 1))
            #expect(task.state == .queued && task.rework == round)
            task = after(task, .dispatched(token: "l", input: .null), Reviewed.context(Double(round) * 10 + 2))
            task = after(
                task, report(success, attempt: round + 1, lease: "l"), Reviewed.context(Double(round) * 10 + 10))
            #expect(task.state == .reviewing && task.reviewRound == round + 1)
        }
        return task
    }

    @Test func `each valid event leads to its state and effects`() throws {
        let waiting = Reviewed.waiting
        let gated = [Reviewed.work, Reviewed.review, `Task stages`.signOff]
        let inGated = Self.after(runningTask(), report(success), Reviewed.context(1, gated))
        let refused = try Self.refused()
        let last = try Reviewed.decided(.rejected, session: Reviewed.session(at: 40))
        let escalation = EscalationID(TaskID(at: epoch.addingTimeInterval(41), random: (3, 4)).uuid)
        let escalated = Self.after(refused, last, Reviewed.context(41))
        let rows: [Row] = [
            (
                "done work is put before its peers", runningTask(), report(success), Reviewed.context(), .reviewing,
                ["task.stage_completed", "free", "task.review_requested", "review"]
            ),
            (
                "approved", waiting, try Reviewed.decided(.approved), Reviewed.context(2), .completed,
                ["task.review_decided", "task.completed"]
            ),
            (
                "approved, and a human asked", inGated, try Reviewed.decided(.approved), Reviewed.context(2, gated),
                .awaitingApproval, ["task.review_decided", "task.stage_completed", "task.approval_requested"]
            ),
            (
                "refused", waiting, try Reviewed.decided(.rejected), Reviewed.context(2), .queued,
                ["task.review_decided", "task.reworking", "queue"]
            ),
            (
                "refused after the last round", refused, last, Reviewed.context(41), .escalated,
                ["task.review_decided", "task.escalated", "escalate"]
            ),
            (
                "undecided", waiting, try Reviewed.decided(.escalated), Reviewed.context(2), .escalated,
                ["task.review_decided", "task.escalated", "escalate"]
            ),
            (
                "canceled", waiting, .cancelRequested(reason: "r"), Reviewed.context(2), .canceled,
                ["close", "task.canceled"]
            ),
            (
                "no decision came", waiting, .deadlinePassed, Reviewed.context(241), .escalated,
                ["close", "task.escalated", "escalate"]
            ),
            (
                "approved by a human", escalated, `Task stages`.resolution(.approve, escalation),
                Reviewed.context(42), .completed, ["settle", "task.resolved", "task.completed"]
            ),
            (
                "tried again by a human", escalated, `Task stages`.resolution(.retry(plan: nil), escalation),
                Reviewed.context(42), .queued, ["settle", "task.resolved", "queue"]
            ),
        ]
        for (what, task, event, context, state, effects) in rows {
            let decision = TaskMachine.decide(task, event, context: context)
            #expect(decision.task?.state == state, "\(what): \(decision)")
            #expect(decision.effects == effects, "\(what)")
        }
    }

    @Test func `each invalid event changes nothing and says why`() throws {
        let waiting = Reviewed.waiting
        let approved = try Reviewed.decided(.approved)
        let foreign = TaskMachine.Event.reviewDecided(
            try Reviewed.decision(
                .approved,
                of: {
                    var task = newTask(); task.reviewRound = 1; return task
                }()))
        let stranger = TaskRecord(
            id: TaskID(at: epoch, random: (9, 9)), tenant: acme, project: waiting.project, principal: "me", name: nil,
            workflow: waiting.workflow, workflowVersion: 1, priority: 5, labels: [:], traceparent: nil,
            createdAt: epoch, overrides: waiting.overrides, stage: 1, role: developer, phase: waiting.phase,
            attempt: 1, stageAttempt: 1, updatedAt: epoch, draft: .stored, author: waiting.author, reviewRound: 1
        )
        let rows: [(String, TaskRecord, TaskMachine.Event, TaskMachine.Reason)] = [
            ("another session", waiting, try Reviewed.decided(.approved, session: Reviewed.session(at: 2)), .lost),
            ("another task's session of the same name", stranger, foreign, .lost),
            ("its agent's second outcome", waiting, report(transient), .lost),
            ("dispatch", waiting, .dispatched(token: "x", input: .null), .notApplicable),
            ("deadline of the reviewers, not of the decision", waiting, .deadlinePassed, .notApplicable),
            ("a human's approval", waiting, `Task stages`.approval(.approve(reason: nil)), .notApplicable),
            ("a resolution", waiting, `Task stages`.resolution(.approve), .notApplicable),
            ("a decision for queued work", newTask(), approved, .lost),
            ("a decision for work under way", runningTask(), approved, .lost),
            ("a decision for approved work", `Task stages`.waiting, approved, .lost),
            ("a decision for escalated work", `Task stages`.escalated, approved, .lost),
            (
                "a decision for ended work",
                Self.after(waiting, approved, Reviewed.context(2)), approved, .ended
            ),
            (
                "the decision again, after rework",
                Self.after(waiting, try Reviewed.decided(.rejected), Reviewed.context(2)), approved, .lost
            ),
        ]
        for (what, task, event, reason) in rows {
            #expect(TaskMachine.decide(task, event, context: Reviewed.context(200)).reason == reason, "\(what)")
        }
    }

    @Test func `a request says whose work it is, and asked again is the same session`() throws {
        let workflow = Reviewed.context().workflow
        func request() -> ReviewRequest? {
            TaskMachine.reviewRequest(of: Reviewed.waiting, artifact: .emptyObject, owner: "team", workflow: workflow)
        }
        let asked = try #require(request())
        #expect(asked == request())
        #expect(asked.session == Reviewed.session() && asked.round == 1 && asked.attempt == 1)
        #expect(asked.author == "worker-1" && asked.authorOwner == "team" && asked.terms == .peers)
        #expect(asked.timeoutSeconds == 180 && asked.artifact == .emptyObject)
        #expect(
            TaskMachine.reviewRequest(of: runningTask(), artifact: .null, owner: "team", workflow: workflow) == nil)
    }

    @Test func `peers who were too slow are asked again, for longer`() throws {
        let late = Self.after(Reviewed.waiting, .deadlinePassed, Reviewed.context(241))
        let id = EscalationID(TaskID(at: epoch.addingTimeInterval(241), random: (3, 4)).uuid)
        let longer = `Task stages`.resolution(.raiseDeadline(seconds: 900, plan: nil), id)
        let decision = TaskMachine.decide(late, longer, context: Reviewed.context(242))
        #expect(decision.effects == ["settle", "task.resolved", "task.review_requested", "review"])
        let asked = try #require(decision.task)
        #expect(asked.reviewRound == 2 && asked.lease?.token == Reviewed.session(at: 242).description)
        let request = TaskMachine.reviewRequest(
            of: asked, artifact: .null, owner: "o", workflow: Reviewed.context().workflow)
        #expect(request?.timeoutSeconds == 900 && request?.round == 2)
    }

    @Test func `refused work goes back to who made it, with what reviewers want changed`() throws {
        let back = Self.after(Reviewed.waiting, try Reviewed.decided(.rejected), Reviewed.context(2))
        #expect(back.stage == 0 && back.stageAttempt == 0 && back.rework == 1 && back.role == developer)
        let plan = try #require(back.plan)
        #expect(plan.text.contains(#""role":"security","reviewer":"security-1","vote":"reject""#))
        #expect(!plan.text.contains("tester-1"), "It had nothing to say.")
        let handed = TaskMachine.decide(
            back, .dispatched(token: "l2", input: .null, previous: .emptyObject), context: Reviewed.context(3))
        guard case .changed(let next, let effects) = handed else { throw Unexpected() }
        let items = effects.compactMap { if case .hand(let item) = $0 { item } else { nil } }
        #expect(items.map(\.plan) == [plan] && items.map(\.previous) == [.emptyObject])
        let again = Self.after(next, report(success, attempt: 2, lease: "l2"), Reviewed.context(4))
        #expect(again.reviewRound == 2 && again.lease?.token == Reviewed.session(at: 4).description)
        #expect(again.author?.attempt == 2 && again.plan == nil)
    }

    @Test func `the fixer of a guard whose work is refused gets it back`() throws {
        let guarded = [`Task stages`.work("work", guards: [.hasTests]), Reviewed.review]
        let fixing = Self.after(
            Self.after(runningTask(), report(success), Reviewed.context(1, guarded)),
            .dispatched(token: "l", input: .null), Reviewed.context(2, guarded))
        #expect(fixing.role == Reviewed.tester, "Guards come before reviews.")
        let output = try JSON(parsing: #"{"checks":{"has_tests":true}}"#.utf8)
        let waiting = Self.after(
            fixing, report(.completed(output: output, usage: nil), attempt: 2, lease: "l"), Reviewed.context(3, guarded)
        )
        #expect(waiting.state == .reviewing && waiting.author?.role == Reviewed.tester)
        let back = Self.after(
            waiting, try Reviewed.decided(.rejected, session: Reviewed.session(at: 3)), Reviewed.context(4, guarded))
        #expect(back.role == Reviewed.tester && back.rework == 2)
    }

    @Test func `work is not sent back when nothing is left to pay for it`() throws {
        var task = Reviewed.waiting
        task = TaskRecord(
            id: task.id, tenant: acme, project: task.project, principal: "me", name: nil, workflow: task.workflow,
            workflowVersion: 1, priority: 5, labels: [:], traceparent: nil, createdAt: epoch, overrides: task.overrides,
            budgetTokens: 7, stage: 1, role: developer, phase: task.phase, attempt: 1, stageAttempt: 1,
            usageTokens: 7, updatedAt: epoch, draft: .stored, author: task.author, reviewRound: 1
        )
        let ended = Self.after(task, try Reviewed.decided(.rejected), Reviewed.context(2))
        guard case .ended(.failed(let code, _), _) = ended.phase else { throw Unexpected() }
        #expect(code == "budget_exhausted")
    }

    @Test func `an escalation says what kind of trouble the review was, and a retry hands out the concerns`() throws {
        func cause(_ task: TaskRecord, _ event: TaskMachine.Event, at seconds: Double) throws -> EscalationCause {
            guard case .changed(_, let effects) = TaskMachine.decide(task, event, context: Reviewed.context(seconds)),
                let cause = effects.compactMap({ if case .escalate(_, let cause) = $0 { cause } else { nil } }).first
            else { throw Unexpected() }
            #expect(cause.source == .review)
            return cause
        }
        let last = try Reviewed.decided(.rejected, session: Reviewed.session(at: 40))
        let refused = try cause(try Self.refused(), last, at: 41)
        #expect(refused.classification == .skillGap && refused.session == Reviewed.session(at: 40))
        let tie = try cause(Reviewed.waiting, try Reviewed.decided(.escalated), at: 2)
        #expect(tie.classification == .agentConflict && tie.reason.contains("Said escalated."))
        let nobody = TaskMachine.Event.reviewDecided(try Reviewed.decision(.escalated, votes: []))
        #expect(try cause(Reviewed.waiting, nobody, at: 2).classification == .processIssue)
        #expect(try cause(Reviewed.waiting, .deadlinePassed, at: 241).classification == .processIssue)

        let escalated = Self.after(try Self.refused(), last, Reviewed.context(41))
        let id = EscalationID(TaskID(at: epoch.addingTimeInterval(41), random: (3, 4)).uuid)
        let retried = Self.after(escalated, `Task stages`.resolution(.retry(plan: nil), id), Reviewed.context(42))
        #expect(retried.plan?.text.contains("security-1") == true)
        let planned = Self.after(
            escalated, `Task stages`.resolution(.retry(plan: `Task stages`.plan), id), Reviewed.context(42))
        #expect(planned.plan == `Task stages`.plan)
    }

    @Test func `what a review says of the prompt that made the work is kept`() throws {
        var task = TaskMachine.admit(
            newTask(), lease: ("lease-1", .emptyObject), prompt: RolePrompt(version: 4, content: "c"),
            context: Reviewed.context(0)
        ).0
        task = Self.after(task, report(success), Reviewed.context())
        for (status, isSentBack) in [(ReviewStatus.approved, false), (.rejected, true), (.escalated, false)] {
            let decision = TaskMachine.decide(task, try Reviewed.decided(status), context: Reviewed.context(2))
            guard case .changed(let next, let effects) = decision else { throw Unexpected() }
            let kept = effects.compactMap { if case .keep(let review) = $0 { review } else { nil } }
            #expect(
                kept == [
                    PromptReview(
                        session: Reviewed.session(), role: developer, version: 4, attempt: 1, round: 1, status: status,
                        isSentBack: isSentBack)
                ])
            if status == .approved { #expect(next.promptVersion == 4, "What came of the task counts for it too.") }
        }
    }

    @Test func `a review explains itself by who has not voted`() throws {
        let session = ReviewSession(
            id: Reviewed.session(), tenant: acme, task: newTask().id, attempt: 1, round: 1, author: "a",
            authorOwner: "o", artifact: try #require(ArtifactHash(bytes: [UInt8](repeating: 7, count: 32))),
            terms: .peers, assignments: [:], traceparent: nil, openedAt: epoch, deadline: epoch)
        let vote = CastVote(reviewer: "sec-1", role: Reviewed.security, choice: .approve)
        func explain(_ review: Explanation.Review?, _ slots: [AgentRole: Int]) -> Explanation {
            Explanation.of(
                Reviewed.waiting,
                Explanation.Facts(
                    now: epoch, slots: slots, ahead: 0, aheadMax: 10, holder: nil, queue: nil, review: review))
        }
        let known = Explanation.Review(session: session, votes: [vote])
        let open = explain(known, [Reviewed.tester: 1, AgentRole(literal: "reviewer"): 1])
        #expect(open.summary.contains("round 1") && open.next == "golden reviews show \(session.id)")
        #expect(open.details.contains("security (0.4): approve, by sec-1."))
        #expect(open.details.contains("tester (0.3): has not voted."))
        #expect(explain(known, [:]).next == "Start one: agent-worker --role reviewer")
        #expect(explain(nil, [:]).details.contains { $0.contains("not opened it yet") })
    }

    private struct Unexpected: Error {}
}
