internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import OrchestratorCore
internal import Storage

/// What the escalation routes do. The routes themselves, as data, stand in `EscalationAPI+Routes`.
struct EscalationAPI: Sendable {
    static let bodyBytesMax = 64 * 1024

    /// What a listing may be narrowed to: a status, or all but one.
    enum State: String, CaseIterable {
        case unresolved, open, analyzing
        case waitingForHuman = "waiting_for_human"
        case resolved

        var statuses: [Escalation.Status] {
            switch self {
            case .unresolved: [.open, .analyzing, .waitingForHuman]
            case .open: [.open]
            case .analyzing: [.analyzing]
            case .waitingForHuman: [.waitingForHuman]
            case .resolved: [.resolved]
            }
        }
    }

    let store: EscalationStore
    let judge: TaskJudge

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let page = try query.page(of: "escalations")
        let state: State? = try query.choice("state")
        let filter = EscalationFilter(
            tenant: tenant, statuses: state?.statuses, task: try query.taskID("task"),
            before: page.after?.keys.first.flatMap { EscalationID($0) }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.list(filter)
        return .json(
            page.document(
                "escalations", found, cursor: { Cursor([$0.id.description]) }, view: EscalationView.document))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return .json(EscalationView.document(try await find(context)))
    }

    func resolve(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let escalation = try await find(context)
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let resolution = try Resolution(from: &body, canceledBy: principal.subject)
        try body.refuseUnknown()
        let event = TaskMachine.Event.escalationResolved(
            escalation.id, by: principal.subject, resolution,
            usageTokens: try await store.analysisTokens(of: escalation.id))
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
            writer.field(ifPresent: "session_id", escalation.session?.description)
            writer.field(ifPresent: "classification", escalation.classification?.rawValue)
            writer.field("severity", escalation.severity)
            writer.field("rework", escalation.rework)
            writer.field("state", escalation.status.rawValue)
            writer.field("created_at", Timestamp.text(escalation.createdAt))
            writer.field(ifPresent: "waits_because", escalation.handling.humanReason)
            writer.field(ifPresent: "waiting_since", escalation.handling.waitingSince.map(Timestamp.text))
            writer.field(ifPresent: "rule", escalation.handling.rule)
            writer.field(ifPresent: "decision", escalation.handling.decision)
            writer.field(ifPresent: "analyst", escalation.handling.analyst)
            writer.field(ifPresent: "analysis", escalation.handling.analysis)
            guard let outcome = escalation.outcome else { return }
            writer.field("resolution", outcome.resolution)
            writer.field(ifPresent: "plan", outcome.plan)
            writer.field("resolved_by", outcome.by)
            writer.field(ifPresent: "notes", outcome.notes)
            writer.field("resolved_at", Timestamp.text(outcome.at))
        }
    }
}
