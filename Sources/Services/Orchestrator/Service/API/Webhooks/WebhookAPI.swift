internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// The caller's own tenant's webhooks and deliveries. The routes, as data, stand in `WebhookAPI+Routes`.
struct WebhookAPI: Sendable {
    static let bodyBytesMax = 16_384
    /// What a subscription hears when it does not say: the ends of tasks.
    static let eventsDefault = TaskEvent.Kind.allCases.filter(\.endsTask)

    let webhooks: WebhookStore
    let deliveries: DeliveryStore
    let secrets: WebhookSecrets

    // MARK: Webhooks

    func add(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        guard let url = try body.optionalWebhookURL("url") else { throw body.error("url", "is required") }
        let events = try Self.events(&body)
        let description = try body.optionalText("description", max: Webhook.descriptionMax)
        try body.refuseUnknown()
        let made = try newSecret(for: principal.tenant)
        var random = SystemRandomNumberGenerator()
        let now = Date()
        let webhook = Webhook(
            id: UUID.version7(at: now, random: (random.next(), random.next())), tenant: principal.tenant,
            purpose: .subscription(url: url, events: events, description: description),
            secret: SealedSecret(sealed: made.sealed, changedAt: now), createdBy: principal.subject, createdAt: now
        )
        guard try await webhooks.add(webhook) else {
            throw Problem(
                .conflict, "There are \(Webhook.perTenantMax) webhooks already; remove one first. Nothing was changed.")
        }
        Self.note(context, ("webhook", WebhookView.text(webhook.id)), ("host", url.authority))
        return .json(
            WebhookView.webhook(webhook, secret: made.secret, now: now), status: .created,
            headers: [.location: "/webhooks/\(WebhookView.text(webhook.id))"]
        )
    }

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let page = try query.page(of: "webhooks")
        try query.refuseUnknown()
        let before = page.after?.keys.first.flatMap { UUID(uuidString: $0) }
        let found = try await webhooks.list(tenant: tenant, before: before, limit: page.limit)
        return .json(
            page.document(
                "webhooks", found, cursor: { Cursor([WebhookView.text($0.id)]) },
                view: { WebhookView.webhook($0, now: Date()) }))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        guard let found = try await webhooks.find(try Self.reference(context), tenant: tenant) else {
            throw Problem.notFound("webhook")
        }
        return .json(WebhookView.webhook(found, now: Date()))
    }

    func remove(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        guard case .subscription(let id) = try Self.reference(context), try await webhooks.remove(id, tenant: tenant)
        else { throw Problem.notFound("webhook") }
        return .json(
            JSONWriter.object { writer in
                writer.field("id", WebhookView.text(id))
                writer.field("removed", true)
            }
        )
    }

    func enable(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        guard case .subscription(let id) = try Self.reference(context),
            let webhook = try await webhooks.enable(id, tenant: tenant)
        else { throw Problem.notFound("webhook") }
        return .json(WebhookView.webhook(webhook, now: Date()))
    }

    /// Makes the callbacks' secret when there is none yet, so that this is also how it is had for the first time.
    func rotate(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let reference = try Self.reference(context)
        let made = try newSecret(for: principal.tenant)
        let now = Date()
        if reference == .callbacks {
            let first = Webhook(
                id: UUID(), tenant: principal.tenant, purpose: .callbacks,
                secret: SealedSecret(sealed: made.sealed, changedAt: now), createdBy: principal.subject, createdAt: now
            )
            if try await webhooks.add(first) { return .json(WebhookView.webhook(first, secret: made.secret, now: now)) }
        }
        let rotated = try await webhooks.rotate(
            reference, tenant: principal.tenant, to: made.sealed, previousUntil: now + WebhookSecrets.overlap, now: now)
        guard let rotated else { throw Problem.notFound("webhook") }
        return .json(WebhookView.webhook(rotated, secret: made.secret, now: now))
    }

    // MARK: Deliveries

    func listDeliveries(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page(of: "deliveries")
        var filter = DeliveryFilter(tenant: try context.requirePrincipal().tenant, limit: page.limit)
        filter.webhook = try Self.id("webhook", &query)
        filter.task = try Self.id("task", &query).map(TaskID.init)
        filter.state = try query.choice("state")
        filter.before = page.after?.place { time, id in UUID(uuidString: id).map { (createdAt: time, id: $0) } }
        try query.refuseUnknown()
        let found = try await deliveries.list(filter)
        return .json(
            page.document(
                "deliveries", found, cursor: { Cursor($0.createdAt, WebhookView.text($0.id)) },
                view: WebhookView.delivery))
    }

    func showDelivery(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        guard let id = UUID(uuidString: context.path("id")),
            let delivery = try await deliveries.find(id, tenant: tenant)
        else { throw Problem.notFound("delivery") }
        return .json(WebhookView.delivery(delivery))
    }

    func replay(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        guard let id = UUID(uuidString: context.path("id")) else { throw Problem.notFound("delivery") }
        switch try await deliveries.replay(id, tenant: tenant) {
        case .replayed(let delivery): return .json(WebhookView.delivery(delivery), status: .accepted)
        case .stillOpen: throw Problem(.conflict, "The delivery has not ended yet. Nothing was changed.")
        case .unknown: throw Problem.notFound("delivery")
        }
    }

    private func newSecret(for tenant: TenantID) throws -> (secret: WebhookSecret, sealed: [UInt8]) {
        if let made = try secrets.make(for: tenant) { return made }
        throw Problem(
            .unavailable,
            "This installation has no secret of its own (GOLDEN_JWT_SECRET), so that it cannot keep those of webhooks. "
                + "Nothing was changed."
        )
    }

    // MARK: Fields

    private static func reference(_ context: EdgeRequestContext) throws(Problem) -> WebhookReference {
        let text = context.path("id")
        if text == WebhookView.callbacksID { return .callbacks }
        guard let id = UUID(uuidString: text) else { throw .notFound("webhook") }
        return .subscription(id)
    }

    private static func id(_ name: String, _ query: inout QueryReader) throws(Problem) -> UUID? {
        guard let text = query.string(name) else { return nil }
        guard let id = UUID(uuidString: text) else { throw QueryReader.error(name, "must be an id") }
        return id
    }

    private static func events(_ body: inout JSONReader) throws(JSONError) -> [TaskEvent.Kind] {
        guard let names = try body.optionalStrings("events") else { return eventsDefault }
        let kinds = names.compactMap(TaskEvent.Kind.init)
        guard !names.isEmpty, kinds.count == names.count, Set(kinds).count == kinds.count else {
            let known = TaskEvent.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw body.error("events", "must name one or more, each once, of \(known)")
        }
        return kinds
    }

    private static func note(_ context: EdgeRequestContext, _ facts: (name: String, value: String)...) {
        var note = AuditNote()
        note.facts = facts
        context.setAuditNote(note)
    }
}
