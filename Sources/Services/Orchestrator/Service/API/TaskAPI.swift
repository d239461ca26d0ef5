internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// What the routes of tasks and agents do. The routes themselves, as data, stand in `TaskAPI+Routes`.
struct TaskAPI: Sendable {
    static let agentsMax = 1000

    let store: TaskStore
    let submitter: TaskSubmitter
    let judge: TaskJudge
    let tokens: TokenSettler
    let hub: EventHub
    let agents: AgentDirectory
    let agentStore: AgentStore
    let bus: MessageBus
    let reviews: ReviewStore
    let workflows: WorkflowCatalogue
    let limits: RateLimits

    func submit(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let key = try request.idempotencyKey()
        let body = try await request.readJSON()
        let submission = try TaskSubmission(json: body)
        let charge = tokens.charge(of: submission)
        try await context.countAgainstLimits(tokens: charge)
        let result: TaskSubmitter.Result
        do {
            result = try await submitter.submit(
                submission, body: body, key: key, principal: principal, traceparent: context.trace.traceparent,
                audit: context.auditEvent(of: request, status: .accepted).map(AuditEntry.init)
            )
        } catch {
            tokens.giveBack(charge, tenant: principal.tenant)
            throw error
        }
        switch result {
        case .accepted(let response, let isFromParent):
            // The parent was charged for it; its budget, and so what it gives back at its end, is the smaller now.
            if isFromParent { tokens.giveBack(charge, tenant: principal.tenant) }
            context.auditIsCommitted()
            return Self.response(response)
        case .replayed(let response):
            tokens.giveBack(charge, tenant: principal.tenant)
            context.setAnswerHeader(.idempotentReplayed, "true")
            return Self.response(response)
        case .keyReused:
            tokens.giveBack(charge, tenant: principal.tenant)
            throw Problem(
                .idempotencyMismatch,
                "This Idempotency-Key came with another body before. Nothing was accepted; send a new key."
            )
        }
    }

    private static func response(_ stored: StoredResponse) -> Response {
        .json(stored.body, status: HTTPResponse.Status(code: stored.status), headers: [.location: stored.location])
    }

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var query = try QueryReader(request)
        let page = try query.page(of: "tasks")
        let filter = TaskFilter(
            tenant: principal.tenant, state: try query.choice("state"), workflow: try query.name("workflow"),
            parent: try query.taskID("parent"), before: page.after?.keys.first.flatMap { TaskID($0) }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.list(filter)
        let rows = Array(zip(found, try await workflows.find(found)))
        return .json(
            page.document(
                "tasks", rows, cursor: { Cursor([$0.0.id.description]) },
                view: { TaskView.summary($0.0, workflow: $0.1) }))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let found = try await find(request, context)
        let task = found.task
        let rounds =
            task.reviewRound == 0
            ? []
            : try await reviews.sessions(
                of: task.id, tenant: task.tenant, limit: ReviewAPI.roundsMax)
        return .json(TaskView.document(found, workflow: try await workflow(of: task), reviews: rounds))
    }

    func events(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let id = try context.taskID()
        var query = try QueryReader(request)
        let asked = try query.int("after", in: 0...Int(Int32.max))
        let after = try request.lastEventID() ?? asked ?? 0
        let limit = try query.int("limit", in: 1...Page.rowsMax) ?? Page.rowsMax
        try query.refuseUnknown()
        guard request.prefersEventStream else {
            _ = try await find(id, principal)
            let found = try await store.events(of: id, tenant: principal.tenant, after: after, limit: limit + 1)
            return .json(TaskView.events(Array(found.prefix(limit)), isLastPage: found.count <= limit))
        }
        // Watching starts before the task is looked for, so that nothing can happen in between.
        let feed = try TaskEventFeed(store: store, hub: hub, task: id, tenant: principal.tenant)
        let found = try await find(id, principal)
        if found.task.state.isTerminal, after >= found.task.eventSequence {
            return Response(status: .noContent)
        }
        let stream = EventStream { last in
            let events = try await feed.next(after: last)
            return EventPage(
                events: events.map {
                    ServerSentEvent(id: $0.sequence, name: $0.kind.rawValue, data: $0.json.text)
                },
                isLast: events.last?.kind.endsTask ?? true
            )
        }
        return stream.response(to: request, context, after: after)
    }

    func cancel(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let id = try context.taskID()
        let reason = try await cancelReason(request, by: principal)
        switch try await judge.apply(.cancelRequested(reason: reason), to: id, tenant: principal.tenant) {
        case .unchanged(let task, .ended) where task.state != .canceled: throw Self.ended(task)
        case .changed(let task), .unchanged(let task, _):
            let status: HTTPResponse.Status = task.state.isTerminal ? .ok : .accepted
            return .json(TaskView.summary(task, workflow: try await workflow(of: task)), status: status)
        case .unknown: throw Problem.notFound("task")
        }
    }

    static func ended(_ task: TaskRecord) -> Problem {
        Problem(.taskEnded, "The task is \(task.state.rawValue) already; nothing was changed.")
    }

    private func cancelReason(_ request: Request, by principal: Principal) async throws -> String {
        guard let json = try await request.readOptionalJSON(limit: 64 * 1024) else {
            return "canceled by \(principal.subject)"
        }
        var body = try JSONReader(json)
        let reason = try body.optionalText("reason", max: Self.reasonMax)
        try body.refuseUnknown()
        return reason ?? "canceled by \(principal.subject)"
    }

    func explain(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let task = try await find(request, context).task
        let explanation = Explanation.of(task, try await facts(about: task))
        return .json(
            JSONWriter.object { writer in
                writer.field("task_id", task.id.description)
                writer.field("state", task.state.rawValue)
                writer.field("summary", explanation.summary)
                writer.field("details", explanation.details)
                writer.field(ifPresent: "next", explanation.next)
            }
        )
    }

    private func facts(about task: TaskRecord) async throws -> Explanation.Facts {
        var ahead = 0
        var full: Explanation.FullLabel?
        if case .queued(let runAt) = task.phase {
            ahead = try await store.countAhead(of: task, runAt: runAt)
            full = try await fullLabel(of: task)
        }
        var queue: (pending: Int, held: Int)?
        if task.state.occupiesAgent {
            // The bus may be away; the explanation then does without the queue's numbers.
            do { queue = try await bus.consumerState(task.role).map { ($0.pending, $0.ackPending) } } catch {
                queue = nil
            }
        }
        return Explanation.Facts(
            now: Date(), slots: agents.slots(), ahead: ahead, aheadMax: 1000,
            holder: agents.holder(of: task.id), queue: queue, review: try await review(of: task),
            fullLabel: full
        )
    }

    private func review(of task: TaskRecord) async throws -> Explanation.Review? {
        guard case .waiting(.review, let lease) = task.phase, let id = ReviewID(lease.token),
            let session = try await reviews.find(id, tenant: task.tenant)
        else { return nil }
        let votes = try await reviews.votes(in: [id])[id] ?? []
        return Explanation.Review(session: session, votes: votes.map(\.cast))
    }

    /// The first of the task's labels of which as many as may be are at work.
    private func fullLabel(of task: TaskRecord) async throws -> Explanation.FullLabel? {
        let limits = limits.table.labelLimits
        let limited = limits.limited(task.labels, of: task.tenant)
        let running = try await store.running(limited, of: task.tenant)
        for label in limited {
            let limit = limits.limits(of: task.tenant)[label] ?? .max
            let count = running[label] ?? 0
            if count >= limit { return Explanation.FullLabel(label: label, running: count, limit: limit) }
        }
        return nil
    }

    func listAgents(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let known = try await agentStore.recent(limit: Self.agentsMax)
        return .json(AgentView.list(online: agents.online(), known: known))
    }

    private func find(_ request: Request, _ context: EdgeRequestContext) async throws -> TaskDocument {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return try await find(try context.taskID(), try context.requirePrincipal())
    }

    func find(_ id: TaskID, _ principal: Principal) async throws -> TaskDocument {
        guard let found = try await store.find(id, tenant: principal.tenant) else { throw Problem.notFound("task") }
        return found
    }

    func workflow(of task: TaskRecord) async throws -> Workflow? { try await workflows.find([task])[0] }
}
