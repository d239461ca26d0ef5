internal import Bootstrap
internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import HTTPEdge
internal import OrchestratorCore
internal import Storage

/// Accepts tasks: from a checked submission to a committed row.
struct TaskSubmitter: Sendable {
    let tasks: TaskStore
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments
    /// Tokens held for a task that does not say how many it may use, where a budget stands over it.
    let budgetDefault: Int
    private let budgeted = BudgetedProjects()

    enum Result: Sendable {
        /// - Parameter isFromParent: its tokens come out of the budget of the task that it is a part of.
        case accepted(StoredResponse, isFromParent: Bool)
        case replayed(StoredResponse)
        case keyReused
    }

    init(tasks: TaskStore, decider: Decider, dispatcher: Dispatcher, instruments: Instruments, budgetDefault: Int) {
        self.tasks = tasks
        self.decider = decider
        self.dispatcher = dispatcher
        self.instruments = instruments
        self.budgetDefault = budgetDefault
    }

    private struct Attempt {
        let submission: TaskSubmission
        let key: IdempotencyKey?
        let principal: Principal
        let traceparent: String
        let audit: AuditEntry?
        let isFromParent: Bool
    }

    /// - Parameters:
    ///   - key: the caller's idempotency key; the body it was sent with becomes its fingerprint.
    ///   - keyOwner: whose key it is, when it is the same whoever calls; the principal's own when nil.
    ///   - audit: committed with the task when the result is `accepted`, and only then.
    func submit(
        _ submission: TaskSubmission, body: JSON, key: String?, keyOwner: String? = nil, principal: Principal,
        traceparent: String, audit: AuditEntry?
    ) async throws -> Result {
        var submission = submission
        var isFromParent = false
        if let parent = submission.parent { isFromParent = try await adopt(&submission, parent, principal) }
        let attempt = Attempt(
            submission: submission, key: key.map { fingerprinted($0, body, keyOwner) },
            principal: principal, traceparent: traceparent, audit: audit, isFromParent: isFromParent
        )
        let account = BudgetAccount.Key(tenant: principal.tenant, project: submission.project)
        if !budgeted.contains(account) {
            if let result = try await submit(attempt, isHeld: false) { return result }
            budgeted.insert(account)
        }
        guard let result = try await submit(attempt, isHeld: true) else {
            throw Problem(.internalError, "A task's budget was neither held nor refused. Nothing was accepted.")
        }
        return result
    }

    /// A part of another task belongs to its project, and takes what it may use out of that one's budget; answers
    /// whether there is one, which a task has from its beginning or never.
    private func adopt(
        _ submission: inout TaskSubmission, _ parent: TaskID, _ principal: Principal
    ) async throws -> Bool {
        guard let parent = try await tasks.find(parent, tenant: principal.tenant)?.task else {
            throw Self.refusal(.unknown)
        }
        guard let left = parent.budgetLeft else { return false }
        submission.budgetTokens = submission.budgetTokens ?? max(1, min(budgetDefault, left - 1))
        return true
    }

    /// Nil when a budget stands over the task, and nothing was to be held: then nothing was accepted.
    private func submit(_ attempt: Attempt, isHeld: Bool) async throws -> Result? {
        let now = decider.clock.now
        let task = try await newTask(attempt, isHeld: isHeld, now: now)
        let queue = DispatchHint.Count(role: task.role, tenant: task.tenant)
        let startsAtOnce = dispatcher.startsAtOnce(queue, labels: task.labels)
        let (admission, outcome) = try admission(
            task, attempt, startsAtOnce: startsAtOnce, isHeld: isHeld, now: now
        )
        let result: AdmissionOutcome
        do {
            result = try await tasks.admit(admission)
        } catch {
            // A task that was committed after all is in Postgres, and the next count of the queue finds it there.
            if startsAtOnce { dispatcher.withdraw(queue) }
            throw error
        }
        if case .admitted = result {
            dispatcher.carryOut(outcome, counted: true)
            instruments.count(outcome.events, of: outcome.changes)
            return .accepted(
                StoredResponse(status: 202, location: admission.location, body: admission.response),
                isFromParent: attempt.isFromParent)
        }
        if startsAtOnce { dispatcher.withdraw(queue) }
        switch result {
        case .admitted, .needsHold: return nil
        case .replayed(let response): return .replayed(response)
        case .keyReused: return .keyReused
        case .denied(let reservation, let denial): throw BudgetProblem.denied(denial, task: reservation)
        case .orphaned(let reason): throw Self.refusal(reason)
        }
    }

    private static func refusal(_ reason: OrphanReason) -> Problem {
        switch reason {
        case .unknown: .invalid("parent_id", "names no task of yours")
        case .otherProject(let project): .invalid("project", "must be \(project), as the parent's")
        case .ended(let state):
            Problem(.taskEnded, "The parent is \(state.rawValue) already, so nothing can become a part of it.")
        case .tooLittleLeft(let left):
            Problem(
                .budgetExhausted,
                "The parent has \(max(0, left)) tokens left and keeps at least one. Nothing was accepted; submit it "
                    + "with fewer budget_tokens."
            )
        }
    }

    private func newTask(_ attempt: Attempt, isHeld: Bool, now: Date) async throws -> TaskRecord {
        let submission = attempt.submission
        let tenant = attempt.principal.tenant
        guard let workflow = try await decider.workflows.newest(submission.workflow, tenant: tenant) else {
            let known = decider.workflows.builtInNames.map(\.text).joined(separator: ", ")
            throw Problem.invalid("workflow", "is neither one of yours nor one every installation has (\(known))")
        }
        let stage = workflow.stages[0]
        var random = SecureRandom()
        return TaskRecord(
            id: TaskID(at: now, random: (random.next(), random.next())), tenant: attempt.principal.tenant,
            project: submission.project, principal: attempt.principal.subject, name: submission.name,
            workflow: workflow.name, workflowVersion: workflow.version, priority: submission.priority,
            labels: submission.labels, traceparent: attempt.traceparent, callback: submission.callback, createdAt: now,
            overrides: TaskRecord.Overrides(
                timeoutSeconds: submission.timeoutSeconds ?? Int(stage.timeout.components.seconds),
                attemptMax: submission.attemptMax ?? stage.attemptMax
            ),
            parent: submission.parent, budgetTokens: submission.budgetTokens ?? (isHeld ? budgetDefault : nil),
            stage: 0, role: submission.role ?? stage.role, phase: .queued(runAt: now), updatedAt: now
        )
    }

    private func admission(
        _ task: TaskRecord, _ attempt: Attempt, startsAtOnce: Bool, isHeld: Bool, now: Date
    ) throws(Problem) -> (Admission, Outcome) {
        guard let context = decider.context(task, now: now) else { throw .notFound("workflow") }
        let input = attempt.submission.input
        let lease = startsAtOnce ? (token: decider.newToken(), input: input) : nil
        let (admitted, effects) = TaskMachine.admit(
            task, lease: lease, prompt: decider.prompts[task.role], context: context
        )
        var outcome = Outcome()
        outcome.add(admitted, effects, previousSequence: 0)
        let admission = Admission(
            task: admitted, input: input, events: outcome.events, outbox: outcome.outbox, key: attempt.key,
            hold: isHeld ? ReservationRequest(for: task) : nil,
            response: TaskView.summary(admitted, workflow: context.workflow), location: "/tasks/\(task.id)",
            audit: attempt.audit
        )
        return (admission, outcome)
    }

    /// SHA-256 over method, path and the canonical body (RFC 8785), so that formatting does not matter.
    private func fingerprinted(_ key: String, _ body: JSON, _ owner: String?) -> IdempotencyKey {
        var hash = SHA256()
        hash.update(data: Array("POST /tasks\n".utf8))
        hash.update(data: body.canonical)
        return IdempotencyKey(text: key, fingerprint: Array(hash.finalize()), owner: owner)
    }
}
