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

    enum Result: Sendable {
        case accepted(StoredResponse)
        case replayed(StoredResponse)
        case keyReused
    }

    /// - Parameter key: the caller's idempotency key; the body it was sent with becomes its fingerprint.
    func submit(
        _ submission: TaskSubmission, body: JSON, key: String?, principal: Principal, traceparent: String
    ) async throws -> Result {
        let now = Date()
        let task = try newTask(submission, principal: principal, traceparent: traceparent, now: now)
        let queue = DispatchHint.Count(role: task.role, tenant: task.tenant)
        let startsAtOnce = dispatcher.startsAtOnce(queue)
        let (admission, outcome) = try admission(
            task, submission.input, startsAtOnce: startsAtOnce, key: key.map { fingerprinted($0, body) }, now: now
        )
        let result: AdmissionOutcome
        do {
            result = try await tasks.admit(admission)
        } catch {
            // A task that was committed after all is in Postgres, and the next count of the queue finds it there.
            if startsAtOnce { dispatcher.withdraw(queue) }
            throw error
        }
        switch result {
        case .admitted:
            dispatcher.carryOut(outcome, counted: true)
            instruments.count(outcome.events, of: outcome.changes)
            return .accepted(StoredResponse(status: 202, location: admission.location, body: admission.response))
        case .replayed(let response):
            if startsAtOnce { dispatcher.withdraw(queue) }
            return .replayed(response)
        case .keyReused:
            if startsAtOnce { dispatcher.withdraw(queue) }
            return .keyReused
        }
    }

    private func newTask(
        _ submission: TaskSubmission, principal: Principal, traceparent: String, now: Date
    ) throws(Problem) -> TaskRecord {
        guard let workflow = decider.workflows.newest(submission.workflow) else {
            let known = decider.workflows.names.map(\.text).joined(separator: ", ")
            throw .invalid("workflow", "is not one this installation knows (\(known))")
        }
        let stage = workflow.stages[0]
        var random = SystemRandomNumberGenerator()
        return TaskRecord(
            id: TaskID(at: now, random: (random.next(), random.next())), tenant: principal.tenant,
            project: submission.project, principal: principal.subject, name: submission.name, workflow: workflow.name,
            workflowVersion: workflow.version, priority: submission.priority, labels: submission.labels,
            traceparent: traceparent, createdAt: now,
            overrides: TaskRecord.Overrides(
                timeoutSeconds: submission.timeoutSeconds ?? Int(stage.timeout.components.seconds),
                attemptMax: submission.attemptMax ?? stage.attemptMax
            ),
            stage: 0, role: submission.role ?? stage.role, phase: .queued(runAt: now), updatedAt: now
        )
    }

    private func admission(
        _ task: TaskRecord, _ input: JSON, startsAtOnce: Bool, key: IdempotencyKey?, now: Date
    ) throws(Problem) -> (Admission, Outcome) {
        guard let context = decider.context(task, now: now) else { throw .notFound("workflow") }
        let lease = startsAtOnce ? (token: decider.newToken(), input: input) : nil
        let (admitted, effects) = TaskMachine.admit(task, lease: lease, context: context)
        var outcome = Outcome()
        outcome.add(admitted, effects, previousSequence: 0)
        let admission = Admission(
            task: admitted, input: input, events: outcome.events, outbox: outcome.outbox, key: key,
            response: TaskView.summary(admitted, workflow: context.workflow), location: "/tasks/\(task.id)"
        )
        return (admission, outcome)
    }

    /// SHA-256 over method, path and the canonical body (RFC 8785), so that formatting does not matter.
    private func fingerprinted(_ key: String, _ body: JSON) -> IdempotencyKey {
        var hash = SHA256()
        hash.update(data: Array("POST /tasks\n".utf8))
        hash.update(data: body.canonical)
        return IdempotencyKey(text: key, fingerprint: Array(hash.finalize()))
    }
}
