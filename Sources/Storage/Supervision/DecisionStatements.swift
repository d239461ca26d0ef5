internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Decisions that were not said yet, or were said a while ago and are not carried out.
struct UnpublishedDecisions: PostgresStatement {
    let repeatSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT id, tenant_id, task_id, decision, traceparent FROM escalations
        WHERE status IN ('open', 'analyzing') AND decision IS NOT NULL AND (
            decision_published_at IS NULL
            OR decision_published_at < clock_timestamp() - make_interval(secs => $1)
        ) ORDER BY created_at LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(repeatSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> PendingResolution {
        PendingResolution(
            notice: ResolutionNotice(
                escalation: EscalationID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
                resolution: try row.resolution(3)
            ),
            traceparent: try row.textOrNil(4)
        )
    }
}

struct MarkDecisionsPublished: PostgresStatement {
    let ids: [EscalationID]

    static let sql = """
        UPDATE escalations SET decision_published_at = clock_timestamp()
        WHERE id = ANY($1::uuid[]) AND status IN ('open', 'analyzing')
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }
}

/// What the supervisor decided about an escalation that is still to be resolved so.
struct FindDecision: PostgresStatement {
    let id: EscalationID
    let task: TaskID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql = """
        SELECT decision FROM escalations
        WHERE id = $1 AND task_id = $2 AND tenant_id = $3 AND status IN ('open', 'analyzing') AND decision IS NOT NULL
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.uuid(task.uuid)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Resolution { try row.resolution(0) }
}

/// Gives an escalation to humans whose task could not take what was decided; no row when somebody did so before, or it
/// is resolved.
struct HandBackDecision: PostgresStatement {
    let id: EscalationID

    static let sql =
        """
        UPDATE escalations e SET status = 'waiting_for_human', human_reason = 'refused_by_task',
            waiting_since = clock_timestamp(), updated_at = clock_timestamp()
        WHERE id = $1 AND status IN ('open', 'analyzing')
        """ + WaitingRow.returning

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WaitingEscalation {
        try WaitingRow.read(row)
    }
}

/// Counts each resolved escalation once, whoever counts.
struct CountResolved: PostgresStatement {
    let limit: Int

    static let sql = """
        UPDATE escalations SET counted_at = clock_timestamp() WHERE id IN (
            SELECT id FROM escalations WHERE status = 'resolved' AND counted_at IS NULL
            ORDER BY resolved_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING source, coalesce(classification, 'none'), resolution,
            CASE WHEN resolved_by = 'supervisor' AND decision IS NOT NULL
                    THEN CASE decision_rule WHEN 'analyst' THEN 'analyst' ELSE 'rule' END
                WHEN resolved_by = 'orchestrator' THEN 'orchestrator' ELSE 'human' END,
            extract(epoch FROM resolved_at - created_at)::float8
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ResolvedEscalation {
        ResolvedEscalation(
            source: try row.text(0), classification: try row.text(1), resolution: try row.text(2), by: try row.text(3),
            seconds: try row.double(4)
        )
    }
}

struct CountUnresolved: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT status, count(*) FROM escalations WHERE status <> 'resolved' GROUP BY status"

    func bind(to bindings: inout PostgresBindings) {}

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (status: String, count: Int) {
        (try row.text(0), try row.int(1))
    }
}

extension PostgresRow {
    borrowing func resolution(_ column: Int) throws(PostgresError) -> Resolution {
        let bytes = try json(column)
        do throws(JSONError) {
            var body = try JSONReader(try JSON(parsing: bytes))
            return try Resolution(from: &body)
        } catch {
            throw TaskRow.unreadable("escalations.decision is no resolution (\(error))")
        }
    }
}
