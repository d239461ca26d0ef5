internal import Contracts
internal import FoundationEssentials
internal import Postgres

struct FindDelivery: PostgresStatement {
    let id: UUID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql = "SELECT " + DeliveryRow.columns + " FROM webhook_deliveries d WHERE d.id = $1 AND d.tenant_id = $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WebhookDelivery { try DeliveryRow.read(row) }
}

struct ListDeliveries: PostgresStatement {
    let filter: DeliveryFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + DeliveryRow.columns + """
             FROM webhook_deliveries d
            WHERE d.tenant_id = $1 AND ($2::uuid IS NULL OR d.webhook_id = $2)
                AND ($3::uuid IS NULL OR d.task_id = $3) AND ($4::text IS NULL OR d.state = $4)
                AND ($5::timestamptz IS NULL OR (d.created_at, d.id) < ($5, $6))
            ORDER BY d.created_at DESC, d.id DESC LIMIT $7
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.tenant.text)
        bindings.uuid(filter.webhook)
        bindings.uuid(filter.task?.uuid)
        bindings.text(filter.state?.rawValue)
        bindings.timestamp(filter.before?.createdAt)
        bindings.uuid(filter.before?.id)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WebhookDelivery { try DeliveryRow.read(row) }
}

struct ReplayDelivery: PostgresStatement {
    let id: UUID
    let tenant: TenantID

    static let sql =
        """
        UPDATE webhook_deliveries d
        SET state = 'pending', attempts = 0, due_at = statement_timestamp(), ended_at = NULL, lease = NULL
        WHERE d.id = $1 AND d.tenant_id = $2 AND d.state IN ('delivered', 'failed') RETURNING\u{20}
        """ + DeliveryRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WebhookDelivery { try DeliveryRow.read(row) }
}

enum DeliveryRow {
    /// In the order `read` expects; the table's alias is `d`.
    static let columns = """
        d.id, d.tenant_id, d.webhook_id, d.task_id, d.sequence, d.kind, d.url, d.state, d.attempts, d.due_at, \
        d.lease IS NOT NULL, d.status, d.error, d.response, d.duration_ms, d.attempted_at, d.created_at, d.ended_at
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> WebhookDelivery {
        let text = try row.text(7)
        guard let state = WebhookDelivery.State(rawValue: text) else {
            throw TaskRow.unreadable("webhook_deliveries.state is \(text)")
        }
        return WebhookDelivery(
            id: try row.uuid(0), tenant: try row.name(1), webhook: try row.uuidOrNil(2), task: TaskID(try row.uuid(3)),
            sequence: try row.int(4), kind: try row.text(5), url: try row.text(6), state: state,
            attempts: try row.int(8), dueAt: try row.timestamp(9), isUnderWay: try row.bool(10),
            result: WebhookDelivery.Result(
                status: try row.intOrNil(11), error: try row.textOrNil(12), response: try row.textOrNil(13),
                milliseconds: try row.intOrNil(14)
            ),
            attemptedAt: try row.timestampOrNil(15), createdAt: try row.timestamp(16),
            endedAt: try row.timestampOrNil(17)
        )
    }
}
