internal import Contracts
internal import FoundationEssentials
internal import Postgres

struct InsertWebhook: PostgresStatement {
    let webhook: Webhook

    static let sql = """
        INSERT INTO webhooks (
            id, tenant_id, kind, url, host, events, description, state, secret_sealed, secret_changed_at, created_by,
            created_at
        )
        SELECT $1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, $11
        WHERE (SELECT count(*) FROM webhooks WHERE tenant_id = $2 AND kind = 'subscription') < $12
            OR $3 = 'callback'
        ON CONFLICT DO NOTHING RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(webhook.id)
        bindings.text(webhook.tenant.text)
        switch webhook.purpose {
        case .subscription(let url, let events, let description):
            bindings.text("subscription")
            bindings.text(url.description)
            bindings.text(url.authority)
            bindings.texts(events.map(\.rawValue))
            bindings.text(description)
        case .callbacks:
            bindings.text("callback")
            bindings.text(nil)
            bindings.text(nil)
            bindings.texts([])
            bindings.text(nil)
        }
        bindings.bytes(webhook.secret.sealed)
        bindings.timestamp(webhook.secret.changedAt)
        bindings.text(webhook.createdBy)
        bindings.timestamp(webhook.createdAt)
        bindings.int(Webhook.perTenantMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

struct FindWebhook: PostgresStatement {
    let reference: WebhookReference
    let tenant: TenantID

    static let isReadOnly = true
    static let sql =
        "SELECT " + WebhookRow.columns + """
             FROM webhooks w WHERE w.tenant_id = $1 AND (w.id = $2 OR $2 IS NULL AND w.kind = 'callback')
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.reference(reference)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook { try WebhookRow.read(row) }
}

struct ListWebhooks: PostgresStatement {
    let tenant: TenantID
    let before: UUID?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + WebhookRow.columns + """
             FROM webhooks w
            WHERE w.tenant_id = $1 AND w.kind = 'subscription' AND ($2::uuid IS NULL OR w.id < $2)
            ORDER BY w.id DESC LIMIT $3
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.uuid(before)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook { try WebhookRow.read(row) }
}

/// What is under way ends by itself: whoever sends it finds the subscription gone.
struct RemoveWebhook: PostgresStatement {
    let id: UUID
    let tenant: TenantID

    static let sql = """
        WITH removed AS (
            DELETE FROM webhooks WHERE id = $1 AND tenant_id = $2 AND kind = 'subscription' RETURNING id, host
        ), ended AS (
            UPDATE webhook_deliveries d
            SET state = 'failed', error = 'webhook_removed', ended_at = statement_timestamp()
            FROM removed r
            WHERE d.host = r.host AND d.state IN ('pending', 'parked') AND d.webhook_id = r.id AND d.lease IS NULL
        )
        SELECT id FROM removed
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

struct RotateSecret: PostgresStatement {
    let reference: WebhookReference
    let tenant: TenantID
    let sealed: [UInt8]
    let previousUntil: Date
    let now: Date

    static let sql =
        """
        UPDATE webhooks w SET previous_sealed = w.secret_sealed, previous_until = $4, secret_sealed = $3,
            secret_changed_at = $5
        WHERE w.tenant_id = $1 AND (w.id = $2 OR $2 IS NULL AND w.kind = 'callback') RETURNING\u{20}
        """ + WebhookRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.reference(reference)
        bindings.bytes(sealed)
        bindings.timestamp(previousUntil)
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook { try WebhookRow.read(row) }
}

struct DisableWebhook: PostgresStatement {
    let id: UUID
    let reason: String

    static let sql = """
        UPDATE webhooks SET state = 'disabled', disabled_reason = $2, disabled_at = statement_timestamp()
        WHERE id = $1 AND state = 'active' AND kind = 'subscription'
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id)
        bindings.text(reason)
    }
}

struct EnableWebhook: PostgresStatement {
    let id: UUID
    let tenant: TenantID

    static let sql =
        """
        UPDATE webhooks w SET state = 'active', disabled_reason = NULL, disabled_at = NULL
        WHERE w.id = $1 AND w.tenant_id = $2 AND w.kind = 'subscription' RETURNING\u{20}
        """ + WebhookRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook { try WebhookRow.read(row) }
}

enum WebhookRow {
    /// In the order `read` expects; the table's alias is `w`.
    static let columns = """
        w.id, w.tenant_id, w.kind, w.url, w.events, w.description, w.state, w.disabled_reason, w.disabled_at, \
        w.secret_sealed, w.previous_sealed, w.previous_until, w.secret_changed_at, w.created_by, w.created_at
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook {
        var previous: SealedSecret.Previous?
        if let sealed = try row.bytesOrNil(10), let until = try row.timestampOrNil(11) {
            previous = SealedSecret.Previous(sealed: sealed, until: until)
        }
        var state = Webhook.State.active
        if let reason = try row.textOrNil(7), let at = try row.timestampOrNil(8) {
            state = .disabled(reason: reason, at: at)
        }
        return Webhook(
            id: try row.uuid(0), tenant: try row.name(1), purpose: try purpose(row), state: state,
            secret: SealedSecret(sealed: try row.bytes(9), previous: previous, changedAt: try row.timestamp(12)),
            createdBy: try row.text(13), createdAt: try row.timestamp(14)
        )
    }

    private static func purpose(_ row: borrowing PostgresRow) throws(PostgresError) -> Webhook.Purpose {
        guard try row.text(2) == "subscription" else { return .callbacks }
        let text = try row.text(3)
        guard let url = WebhookURL(text) else { throw TaskRow.unreadable("A webhook's address is unreadable") }
        return .subscription(
            url: url, events: try row.texts(4).compactMap(TaskEvent.Kind.init), description: try row.textOrNil(5)
        )
    }
}

extension PostgresBindings {
    /// A subscription's id, or null for the callbacks' secret.
    fileprivate mutating func reference(_ reference: WebhookReference) {
        switch reference {
        case .subscription(let id): uuid(id)
        case .callbacks: uuid(nil)
        }
    }
}
