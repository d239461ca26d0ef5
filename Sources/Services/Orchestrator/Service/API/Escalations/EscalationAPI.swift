internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import OrchestratorCore
internal import Storage

/// What the escalation routes do. The routes themselves, as data, stand in `EscalationAPI+Routes`.
struct EscalationAPI: Sendable {
    static let listMax = 200
    static let listDefault = 50
    static let bodyBytesMax = 64 * 1024

    enum State: String, CaseIterable { case open, resolved }

    let store: EscalationStore
    let judge: TaskJudge

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let limit = try query.int("limit", in: 1...Self.listMax) ?? Self.listDefault
        let cursor = try query.cursor(list: "escalations")
        let state: State? = try query.choice("state")
        let filter = EscalationFilter(
            tenant: tenant, isResolved: state.map { $0 == .resolved }, task: try query.taskID("task"),
            before: cursor?.keys.first.flatMap { EscalationID($0) }, limit: limit + 1
        )
        try query.refuseUnknown()
        let found = try await store.list(filter)
        let page = found.prefix(limit)
        return .json(
            JSONWriter.object { writer in
                writer.field(
                    "escalations",
                    array: { for escalation in page { $0.element(EscalationView.document(escalation)) } })
                if found.count > limit, let last = page.last {
                    writer.field("next_cursor", Cursor([last.id.description]).text(list: "escalations"))
                }
            }
        )
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return .json(EscalationView.document(try await find(context)))
    }

    func resolve(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let escalation = try await find(context)
        let resolution = try EscalationRequests.resolution(
            try await request.readJSON(limit: Self.bodyBytesMax), by: principal
        )
        let event = TaskMachine.Event.escalationResolved(escalation.id, by: principal.subject, resolution)
        switch try await judge.apply(event, to: escalation.task, tenant: principal.tenant) {
        case .changed: return .json(EscalationView.document(try await find(context)))
        case .unchanged(_, .nothingMade): throw Self.conflict("No stage has made anything that could be approved.")
        case .unchanged(_, .budgetUsedUp): throw Self.conflict("The task's budget is used up.")
        case .unchanged: throw Self.conflict("The escalation is resolved already.")
        case .unknown: throw Problem.notFound("escalation")
        }
    }

    private static func conflict(_ what: String) -> Problem { Problem(.conflict, "\(what) Nothing was changed.") }

    private func find(_ context: EdgeRequestContext) async throws -> Escalation {
        let tenant = try context.requirePrincipal().tenant
        guard let id = EscalationID(context.path("id")), let found = try await store.find(id, tenant: tenant) else {
            throw Problem.notFound("escalation")
        }
        return found
    }
}

/// The bodies of the escalation routes, checked.
enum EscalationRequests {
    /// `POST /escalations/{id}/resolve`.
    static func resolution(_ json: JSON, by principal: Principal) throws(JSONError) -> Resolution {
        var body = try JSONReader(json)
        let text = try body.string("resolution")
        guard let word = Resolution.Word(rawValue: text) else {
            let known = Resolution.Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw body.error("resolution", "must be one of \(known)")
        }
        let plan = body.optional("plan")
        if let plan, plan.bytes.count > Resolution.planBytesMax {
            throw body.error("plan", "must not be longer than \(Resolution.planBytesMax) bytes")
        }
        let role: AgentRole? = try body.optionalName("role")
        let reason = try TaskAPI.reason(&body)
        try body.refuseUnknown()
        guard plan == nil || word == .retry || word == .reassign else {
            throw body.error("plan", "goes with retry and reassign")
        }
        guard role == nil || word == .reassign else { throw body.error("role", "goes with reassign") }
        guard reason == nil || word == .reject || word == .cancel else {
            throw body.error("reason", "goes with reject and cancel")
        }
        switch word {
        case .retry: return .retry(plan: plan)
        case .reassign:
            guard let role else { throw body.error("role", "is required with reassign") }
            return .reassign(role, plan: plan)
        case .approve: return .approve
        case .reject:
            guard let reason else { throw body.error("reason", "is required with reject") }
            return .reject(reason: reason)
        case .cancel: return .cancel(reason: reason ?? "canceled by \(principal.subject)")
        }
    }
}

/// Escalations as the API shows them.
enum EscalationView {
    static func document(_ escalation: Escalation) -> JSON {
        JSONWriter.object { writer in
            writer.field("id", escalation.id.description)
            writer.field("tenant", escalation.tenant.text)
            writer.field("task_id", escalation.task.description)
            writer.field("attempt", escalation.attempt)
            writer.field(ifPresent: "role", escalation.role?.text)
            writer.field("source", escalation.source)
            writer.field("reason", escalation.reason)
            writer.field(ifPresent: "guard", escalation.failedGuard?.rawValue)
            writer.field(ifPresent: "classification", escalation.classification?.rawValue)
            writer.field("severity", escalation.severity)
            writer.field("rework", escalation.rework)
            writer.field("state", escalation.outcome == nil ? "open" : "resolved")
            writer.field("created_at", Timestamp.text(escalation.createdAt))
            guard let outcome = escalation.outcome else { return }
            writer.field("resolution", outcome.resolution)
            writer.field(ifPresent: "plan", outcome.plan)
            writer.field("resolved_by", outcome.by)
            writer.field(ifPresent: "notes", outcome.notes)
            writer.field("resolved_at", Timestamp.text(outcome.at))
        }
    }
}
