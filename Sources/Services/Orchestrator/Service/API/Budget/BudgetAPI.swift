internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// What the budget routes do. The routes themselves, as data, stand in `BudgetAPI+Routes`.
///
/// Everything is the caller's own tenant's: the token says whose money it is, the body never.
struct BudgetAPI: Sendable {
    /// Bodies hold a few short fields.
    static let bodyBytesMax = 16 * 1024

    let store: BudgetStore

    func request(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let asked = try BudgetRequests.reservation(
            try await request.readJSON(limit: Self.bodyBytesMax), by: principal
        )
        try await context.countAgainstLimits()
        let audit = context.auditEvent(of: request, status: .created).map(AuditEntry.init)
        switch try await store.reserve(asked, audit: audit) {
        case .reserved(let reservation):
            context.auditIsCommitted()
            return .json(BudgetView.granted(reservation), status: .created)
        case .replayed(let reservation):
            context.setAnswerHeader(.idempotentReplayed, "true")
            return .json(BudgetView.granted(reservation))
        case .denied(let reservation, let denial, let isReplay):
            if isReplay { context.setAnswerHeader(.idempotentReplayed, "true") }
            throw BudgetProblem.denied(denial, request: reservation)
        case .mismatch:
            throw Problem(
                .idempotencyMismatch,
                "This request_id was used for another reservation. Nothing was held; send a new request_id."
            )
        }
    }

    func commit(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let (key, actual) = try BudgetRequests.commit(
            try await request.readJSON(limit: Self.bodyBytesMax), by: principal
        )
        let audit = context.auditEvent(of: request, status: .ok).map(AuditEntry.init)
        let outcome = try await store.commit(key, actual: actual, principal: principal.subject, audit: audit)
        return try Self.answer(outcome, context) { reservation in
            switch reservation.state {
            case .committed, .expired: "it was committed with \(reservation.actual ?? 0) tokens before"
            case .pending, .released, .denied: "it is \(reservation.state.rawValue)"
            }
        }
    }

    func release(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let key = try BudgetRequests.release(try await request.readJSON(limit: Self.bodyBytesMax), by: principal)
        let audit = context.auditEvent(of: request, status: .ok).map(AuditEntry.init)
        let outcome = try await store.release(key, principal: principal.subject, audit: audit)
        return try Self.answer(outcome, context) { "it is \($0.state.rawValue)" }
    }

    private static func answer(
        _ outcome: SettleOutcome, _ context: EdgeRequestContext, conflict: (Reservation) -> String
    ) throws(Problem) -> Response {
        switch outcome {
        case .settled(let reservation):
            context.auditIsCommitted()
            return .json(BudgetView.reservation(reservation))
        case .replayed(let reservation):
            context.setAnswerHeader(.idempotentReplayed, "true")
            return .json(BudgetView.reservation(reservation))
        case .conflict(let reservation):
            throw Problem(
                .conflict, "The reservation cannot be settled so: \(conflict(reservation)). Nothing was changed.",
                members: [Problem.Member(name: "reservation", value: BudgetView.reservation(reservation))]
            )
        case .unknown: throw Problem.notFound("reservation (request_id and project name it)")
        }
    }

    func state(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let project: ProjectID? = try query.name("project")
        let page = try query.page(of: "budget-accounts")
        try query.refuseUnknown()
        if let project { return .json(try await state(of: project, tenant)) }
        let found = try await store.accounts(
            of: tenant, after: page.after?.keys.first.flatMap { ProjectID($0) }, limit: page.limit
        )
        return .json(
            page.document(
                "accounts", found, cursor: { Cursor([$0.key.project.text]) }, view: BudgetView.account))
    }

    /// The accounts a project's reservations are charged to, and what they leave.
    private func state(of project: ProjectID, _ tenant: TenantID) async throws -> JSON {
        var accounts: [BudgetAccount] = []
        for key in BudgetAccount.keys(tenant: tenant, project: project) {
            if let account = try await store.account(key) { accounts.append(account) }
        }
        return JSONWriter.object { writer in
            writer.field("project", project.text)
            writer.field("limited", !accounts.isEmpty)
            writer.field(ifPresent: "available", accounts.map(\.available).min())
            writer.field(
                "accounts", array: { for account in accounts { $0.element(BudgetView.account(account)) } })
        }
    }

    func listReservations(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page(of: "reservations")
        let filter = ReservationFilter(
            tenant: try context.requirePrincipal().tenant, project: try query.name("project"),
            state: try query.choice("state"), after: page.after.flatMap(Self.place), limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.reservations(filter)
        return .json(page.document("reservations", found, cursor: Self.cursor, view: BudgetView.reservation))
    }

    /// A cursor's keys hold no separator, which a request id may: it is cut there, and joined again.
    private static func cursor(_ reservation: Reservation) -> Cursor {
        let parts = reservation.key.request.text.split(separator: "|", omittingEmptySubsequences: false)
        return Cursor([reservation.key.project.text] + parts.map(String.init))
    }

    private static func place(_ cursor: Cursor) -> (project: ProjectID, request: BudgetRequestID)? {
        guard let project = cursor.keys.first.flatMap({ ProjectID($0) }),
            let request = BudgetRequestID(cursor.keys.dropFirst().joined(separator: "|"))
        else { return nil }
        return (project, request)
    }

    func setLimit(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let expected = try request.expectedVersion()
        let (account, limit) = try BudgetRequests.limit(
            try await request.readJSON(limit: Self.bodyBytesMax), by: principal
        )
        let outcome = try await store.setLimit(
            account, totalLimit: limit, expectedVersion: expected, principal: principal.subject
        )
        switch outcome {
        case .set(let account):
            return .json(BudgetView.account(account), headers: [.eTag: "\"\(account.version)\""])
        case .stale(let account):
            let found = account.map { "is at version \($0.version)" } ?? "does not exist"
            throw Problem(
                .preconditionFailed, "The account \(found). Nothing was changed; look at it and try again.",
                members: account.map { [Problem.Member(name: "account", value: BudgetView.account($0))] } ?? []
            )
        }
    }

    func verify(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let differences = try await store.verify(tenant: try context.requirePrincipal().tenant)
        return .json(
            JSONWriter.object { writer in
                writer.field("consistent", differences.isEmpty)
                writer.field(
                    "differences",
                    array: { for difference in differences { $0.element(BudgetView.difference(difference)) } })
            }
        )
    }
}
