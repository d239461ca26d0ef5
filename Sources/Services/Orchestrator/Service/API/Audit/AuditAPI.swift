internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// Who did what: the caller's own tenant's log, and for admins the installation's.
struct AuditAPI: Sendable {
    let store: AuditStore

    /// Which log is meant.
    enum Scope: String, CaseIterable {
        case tenant
        case installation
    }

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var query = try QueryReader(request)
        let scope: Scope = try query.choice("scope") ?? .tenant
        guard scope == .tenant || principal.role == .admin else {
            throw Problem(.forbidden, "Only admins read the installation's own audit log.")
        }
        let page = try query.page(of: "audit-\(scope.rawValue)")
        var filter = AuditFilter(
            chain: scope == .tenant ? .tenant(principal.tenant) : .installation, limit: page.limit
        )
        filter.before = page.after?.keys.first.flatMap { Int($0) }
        filter.actor = query.string("actor")
        filter.action = query.string("action")
        filter.outcome = try query.choice("outcome")
        filter.from = try query.time("from")
        filter.to = try query.time("to")
        try query.refuseUnknown()
        let found = try await store.list(filter)
        return .json(
            page.document("entries", found, cursor: { Cursor(["\($0.sequence)"]) }, view: AuditView.entry))
    }
}

extension AuditAPI {
    var routes: [Route] {
        [Route(.get, "/audit", access: .require(.auditRead), operation: Self.listOperation, handler: list)]
    }

    static let schemas: [(name: String, schema: Schema)] = [("AuditEntry", entry)]

    private static let listOperation = Operation(
        id: "listAudit", summary: "Lists who did what, newest first.", tag: "audit",
        parameters: [
            Parameter(.query, "actor", .text(), "Only what this subject did."),
            Parameter(.query, "action", .text(), "Only this operation, by its id."),
            Parameter(.query, "outcome", .choice(AuditEntry.Outcome.allCases.map(\.rawValue)), "Only such outcomes."),
            Parameter(.query, "from", .time, "From this time on."),
            Parameter(.query, "to", .time, "Before this time."),
            Parameter(
                .query, "scope", .choice(Scope.allCases.map(\.rawValue)),
                "`installation`, for admins, shows what belongs to no tenant; else the caller's own tenant."
            ),
        ] + Parameter.page,
        answers: [.page("entries", of: "AuditEntry")]
    )

    private static let entry = Schema.object([
        .required("seq", .integer(), "Counts from 1 without gaps in each tenant's log."), .optional("at", .time),
        .required("actor", .text(), "The token's subject, or an address."), .required("role", .text()),
        .required("action", .text(), "The operation's id."), .required("resource", .text(), "Method and path."),
        .required("outcome", .choice(AuditEntry.Outcome.allCases.map(\.rawValue))),
        .optional("reason", .text(), "Why it was refused or failed."), .optional("trace_id", .text()),
        .required("detail", .object([], isOpen: true)),
        .required("hash", .text(pattern: "^[0-9a-f]{64}$"), "Covers the entry and the hash before it."),
    ])
}
