internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Walks the tenants that have something open, and of each the next targets that have, jumping from one to the next in
/// the index.
struct ListBacklog: PostgresStatement {
    let walk: BacklogWalk

    /// One target; or none, of a tenant that has nothing open behind its place.
    struct Line: Sendable {
        let tenant: TenantID
        let waiting: TargetBacklog?
    }

    static let isReadOnly = true
    static let sql = """
        WITH RECURSIVE tenants AS (
            (
                SELECT tenant_id FROM webhook_deliveries
                WHERE state IN ('pending', 'parked') AND tenant_id > $1
                ORDER BY tenant_id LIMIT 1
            )
            UNION ALL
            SELECT next.tenant_id FROM tenants t CROSS JOIN LATERAL (
                SELECT d.tenant_id FROM webhook_deliveries d
                WHERE d.state IN ('pending', 'parked') AND d.tenant_id > t.tenant_id
                ORDER BY d.tenant_id LIMIT 1
            ) next
        )
        SELECT t.tenant_id, h.host, p.count, k.due_at IS NOT NULL,
            extract(epoch FROM statement_timestamp() - least(p.oldest, k.due_at, statement_timestamp()))::float8
        FROM (SELECT tenant_id FROM tenants LIMIT $4) t
        LEFT JOIN unnest($2::text[], $3::text[]) AS place(tenant_id, host) ON place.tenant_id = t.tenant_id
        LEFT JOIN LATERAL (
            WITH RECURSIVE hosts AS (
                (
                    SELECT d.host FROM webhook_deliveries d
                    WHERE d.state IN ('pending', 'parked') AND d.tenant_id = t.tenant_id
                        AND d.host > coalesce(place.host, '')
                    ORDER BY d.host LIMIT 1
                )
                UNION ALL
                SELECT next.host FROM hosts last CROSS JOIN LATERAL (
                    SELECT d.host FROM webhook_deliveries d
                    WHERE d.state IN ('pending', 'parked') AND d.tenant_id = t.tenant_id AND d.host > last.host
                    ORDER BY d.host LIMIT 1
                ) next
            )
            SELECT host FROM hosts LIMIT $5
        ) h ON true
        CROSS JOIN LATERAL (
            SELECT count(*), min(due_at) AS oldest FROM (
                SELECT due_at FROM webhook_deliveries d
                WHERE d.tenant_id = t.tenant_id AND d.host = h.host AND d.state = 'pending'
                    AND d.due_at <= statement_timestamp()
                ORDER BY due_at LIMIT $6
            ) due
        ) p
        LEFT JOIN LATERAL (
            SELECT due_at FROM webhook_deliveries d
            WHERE d.tenant_id = t.tenant_id AND d.host = h.host AND d.state = 'parked'
            ORDER BY due_at LIMIT 1
        ) k ON true
        ORDER BY t.tenant_id, h.host
        """

    func bind(to bindings: inout PostgresBindings) {
        let places = walk.hosts
        bindings.text(walk.tenant?.text ?? "")
        bindings.texts(places.map { $0.tenant.text })
        bindings.texts(places.map { $0.host })
        bindings.int(BacklogWalk.tenantsMax)
        bindings.int(BacklogWalk.hostsMax)
        bindings.int(TargetBacklog.countMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Line {
        let tenant: TenantID = try row.name(0)
        guard let host = try row.textOrNil(1) else { return Line(tenant: tenant, waiting: nil) }
        let waiting = TargetBacklog(
            target: DeliveryTarget(tenant: tenant, host: host), due: try row.int(2), hasParked: try row.bool(3),
            oldestSeconds: try row.double(4)
        )
        return Line(tenant: tenant, waiting: waiting)
    }
}

/// Takes due deliveries, oldest first for each target, and reads all that is needed to send them.
struct LeaseDeliveries: PostgresStatement {
    /// A completed task's output goes with its last event up to this size.
    static let outputBytesMax = 65_536

    let grants: [DeliveryGrant]
    let lease: UUID
    let time: Duration

    static let sql = """
        WITH due AS MATERIALIZED (
            SELECT p.id FROM unnest($1::text[], $2::text[], $3::int8[], $7::text[]) AS g(host, state, count, tenant_id)
            CROSS JOIN LATERAL (
                SELECT id FROM webhook_deliveries q
                WHERE q.tenant_id = g.tenant_id AND q.host = g.host AND q.state = g.state
                    AND q.state IN ('pending', 'parked') AND q.due_at <= statement_timestamp()
                ORDER BY q.due_at LIMIT g.count FOR UPDATE SKIP LOCKED
            ) p
        ), leased AS (
            UPDATE webhook_deliveries d SET state = 'pending', lease = $4, attempts = d.attempts + 1,
                due_at = statement_timestamp() + $5 * interval '1 millisecond', attempted_at = statement_timestamp()
            FROM due WHERE d.id = due.id
            RETURNING d.id, d.tenant_id, d.webhook_id, d.task_id, d.sequence, d.kind, d.url, d.host, d.attempts
        )
        SELECT l.id, l.tenant_id, l.webhook_id, l.task_id, l.sequence, l.kind, l.url, l.host, l.attempts,
            e.at, e.attempt, e.data, t.project_id, t.name, t.workflow,
            CASE WHEN l.kind = 'task.completed' AND octet_length(t.output::text) <= $6 THEN t.output END,
            coalesce(w.state, c.state), coalesce(w.secret_sealed, c.secret_sealed),
            coalesce(w.previous_sealed, c.previous_sealed), coalesce(w.previous_until, c.previous_until),
            coalesce(w.secret_changed_at, c.secret_changed_at), $4, t.traceparent
        FROM leased l
        LEFT JOIN task_events e ON e.task_id = l.task_id AND e.sequence = l.sequence
        LEFT JOIN tasks t ON t.id = l.task_id
        LEFT JOIN webhooks w ON w.id = l.webhook_id
        LEFT JOIN webhooks c ON c.tenant_id = l.tenant_id AND c.kind = 'callback' AND l.webhook_id IS NULL
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(grants.map(\.target.host))
        bindings.texts(grants.map(\.state.rawValue))
        bindings.ints(grants.map(\.count))
        bindings.uuid(lease)
        bindings.int(Int(time.components.seconds) * 1000)
        bindings.int(Self.outputBytesMax)
        bindings.texts(grants.map(\.target.tenant.text))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LeasedDelivery {
        let tenant: TenantID = try row.name(1)
        return LeasedDelivery(
            id: try row.uuid(0), lease: try row.uuid(21), tenant: tenant, webhook: try row.uuidOrNil(2),
            task: TaskID(try row.uuid(3)), sequence: try row.int(4), kind: try row.text(5), url: try row.text(6),
            target: DeliveryTarget(tenant: tenant, host: try row.text(7)), attempt: try row.int(8),
            event: try event(row), taskFacts: try task(row),
            receiver: try receiver(row)
        )
    }

    private static func event(_ row: borrowing PostgresRow) throws(PostgresError) -> LeasedDelivery.Event? {
        guard let at = try row.timestampOrNil(9) else { return nil }
        return LeasedDelivery.Event(at: at, attempt: try row.int(10), data: try row.parsedJSON(11))
    }

    private static func task(_ row: borrowing PostgresRow) throws(PostgresError) -> LeasedDelivery.Task? {
        guard let project = try row.textOrNil(12) else { return nil }
        return LeasedDelivery.Task(
            project: project, name: try row.textOrNil(13), workflow: try row.text(14),
            output: try row.isNull(15) ? nil : try row.parsedJSON(15), traceparent: try row.textOrNil(22)
        )
    }

    private static func receiver(_ row: borrowing PostgresRow) throws(PostgresError) -> LeasedDelivery.Receiver? {
        guard let state = try row.textOrNil(16) else { return nil }
        var previous: SealedSecret.Previous?
        if let sealed = try row.bytesOrNil(18), let until = try row.timestampOrNil(19) {
            previous = SealedSecret.Previous(sealed: sealed, until: until)
        }
        return LeasedDelivery.Receiver(
            isActive: state == "active",
            secret: SealedSecret(sealed: try row.bytes(17), previous: previous, changedAt: try row.timestamp(20))
        )
    }
}

struct ConcludeDelivery: PostgresStatement {
    let delivery: LeasedDelivery
    let state: WebhookDelivery.State
    let afterSeconds: Double
    let result: WebhookDelivery.Result

    static let sql = """
        UPDATE webhook_deliveries SET state = $3, lease = NULL,
            due_at = statement_timestamp() + $4 * interval '1 millisecond', status = $5, error = $6, response = $7,
            duration_ms = $8, ended_at = CASE WHEN $3 IN ('delivered', 'failed') THEN statement_timestamp() END
        WHERE id = $1 AND lease = $2 RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(delivery.id)
        bindings.uuid(delivery.lease)
        bindings.text(state.rawValue)
        bindings.int(Int(afterSeconds * 1000))
        bindings.int(result.status)
        bindings.text(result.error)
        bindings.text(result.response)
        bindings.int(result.milliseconds)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

/// The attempt that was not made does not count.
struct HandBackDelivery: PostgresStatement {
    let delivery: LeasedDelivery
    let state: WebhookDelivery.State
    let afterSeconds: Double

    static let sql = """
        UPDATE webhook_deliveries SET state = $3, lease = NULL, attempts = attempts - 1,
            due_at = statement_timestamp() + $4 * interval '1 millisecond'
        WHERE id = $1 AND lease = $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(delivery.id)
        bindings.uuid(delivery.lease)
        bindings.text(state.rawValue)
        bindings.int(Int(afterSeconds * 1000))
    }
}

/// What is under way is not due, and stays as it is.
struct ParkTarget: PostgresStatement {
    let target: DeliveryTarget
    let limit: Int

    static let sql = """
        UPDATE webhook_deliveries SET state = 'parked', lease = NULL WHERE id IN (
            SELECT id FROM webhook_deliveries
            WHERE tenant_id = $3 AND host = $1 AND state = 'pending' AND due_at <= statement_timestamp()
            ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(target.host)
        bindings.int(limit)
        bindings.text(target.tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

struct ReleaseTarget: PostgresStatement {
    let target: DeliveryTarget
    let limit: Int

    static let sql = """
        UPDATE webhook_deliveries SET state = 'pending' WHERE id IN (
            SELECT id FROM webhook_deliveries WHERE tenant_id = $3 AND host = $1 AND state = 'parked'
            ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(target.host)
        bindings.int(limit)
        bindings.text(target.tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

struct PurgeDeliveries: PostgresStatement {
    let time: Date
    let limit: Int

    static let sql = """
        DELETE FROM webhook_deliveries WHERE id IN (
            SELECT id FROM webhook_deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.timestamp(time)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}
