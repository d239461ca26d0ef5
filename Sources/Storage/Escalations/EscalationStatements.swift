internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Files escalations in the transaction that escalates their tasks.
struct FileEscalations: PostgresStatement {
    let filed: [(task: TaskRecord, escalation: FiledEscalation)]

    static let sql = """
        INSERT INTO escalations (
            id, message_id, tenant_id, task_id, attempt, source, agent_role, reason, guard, classification,
            rework_round, traceparent, created_at, updated_at, review_session_id
        )
        SELECT id, 'escalation.' || id, tenant_id, task_id, attempt, source, agent_role, reason, guard, classification,
            rework_round, traceparent, created_at, created_at, review_session_id
        FROM unnest(
            $1::uuid[], $2::text[], $3::uuid[], $4::int8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::int8[], $11::text[], $12::timestamptz[], $13::uuid[]
        ) AS u(
            id, tenant_id, task_id, attempt, source, agent_role, reason, guard, classification, rework_round,
            traceparent, created_at, review_session_id
        )
        """

    func bind(to bindings: inout PostgresBindings) {
        let tasks = filed.map(\.task)
        let causes = filed.map(\.escalation.cause)
        bindings.uuids(filed.map { $0.escalation.id.uuid })
        bindings.texts(tasks.map { $0.tenant.text })
        bindings.uuids(tasks.map { $0.id.uuid })
        bindings.ints(tasks.map(\.attempt))
        bindings.texts(causes.map { $0.source.rawValue })
        bindings.texts(tasks.map { $0.role.text })
        bindings.texts(causes.map(\.reason))
        bindings.texts(causes.map { $0.failedGuard?.rawValue })
        bindings.texts(causes.map { $0.classification.rawValue })
        bindings.ints(tasks.map(\.rework))
        bindings.texts(tasks.map(\.traceparent))
        bindings.timestamps(tasks.map(\.updatedAt))
        bindings.uuids(causes.map { $0.session?.uuid })
    }
}

/// Closes escalations in the transaction that takes their tasks on. The task's lock keeps it to once.
struct SettleEscalations: PostgresStatement {
    let settled: [(task: TaskRecord, escalation: SettledEscalation)]

    static let sql = """
        UPDATE escalations e SET
            status = 'resolved', resolution = u.resolution, action_plan = u.plan, resolved_by = u.resolved_by,
            resolution_notes = u.notes, resolved_at = u.at, updated_at = u.at
        FROM unnest($1::uuid[], $2::text[], $3::json[], $4::text[], $5::text[], $6::timestamptz[])
            AS u(id, resolution, plan, resolved_by, notes, at)
        WHERE e.id = u.id AND e.status <> 'resolved'
        """

    func bind(to bindings: inout PostgresBindings) {
        let ends = settled.map(\.escalation)
        bindings.uuids(ends.map(\.id.uuid))
        bindings.texts(ends.map(\.resolution.stored))
        bindings.jsons(ends.map { $0.resolution.plan.map { Array($0.bytes) } })
        bindings.texts(ends.map(\.by))
        bindings.texts(ends.map(\.resolution.notes))
        bindings.timestamps(settled.map(\.task.updatedAt))
    }
}

/// A tenant's escalations, newest first; one when its id is given.
struct ListEscalations: PostgresStatement {
    let filter: EscalationFilter
    let id: EscalationID?

    static let isReadOnly = true
    static let sql = """
        SELECT id, tenant_id, task_id, attempt, agent_role, source, reason, guard, classification, severity, status,
            rework_round, created_at, resolution, action_plan, resolved_by, resolution_notes, resolved_at,
            decision, decision_rule, human_reason, waiting_since, analyst, analysis, review_session_id
        FROM escalations
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::uuid IS NULL OR id = $3)
            AND ($4::uuid IS NULL OR task_id = $4) AND ($5::text[] IS NULL OR status = ANY($5))
        ORDER BY id DESC LIMIT $6
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.tenant.text)
        bindings.uuid(filter.before?.uuid)
        bindings.uuid(id?.uuid)
        bindings.uuid(filter.task?.uuid)
        bindings.texts(filter.statuses?.map(\.rawValue))
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Escalation {
        let status = try row.text(10)
        guard let status = Escalation.Status(rawValue: status) else {
            throw TaskRow.unreadable("escalations.status is \(status)")
        }
        return Escalation(
            id: EscalationID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
            attempt: try row.int(3), role: try row.textOrNil(4).flatMap { AgentRole($0) }, source: try row.text(5),
            reason: try row.text(6), failedGuard: try row.textOrNil(7).flatMap { Guard(rawValue: $0) },
            session: try row.uuidOrNil(24).map { ReviewID($0) },
            classification: try row.textOrNil(8).flatMap { EscalationCause.Classification(rawValue: $0) },
            severity: try row.text(9), status: status, rework: try row.int(11), createdAt: try row.timestamp(12),
            handling: Escalation.Handling(
                decision: try row.parsedJSONOrNil(18), rule: try row.textOrNil(19), humanReason: try row.textOrNil(20),
                waitingSince: try row.timestampOrNil(21), analyst: try row.textOrNil(22),
                analysis: try row.parsedJSONOrNil(23)
            ),
            outcome: try outcome(row)
        )
    }

    private static func outcome(_ row: borrowing PostgresRow) throws(PostgresError) -> Escalation.Outcome? {
        guard let resolution = try row.textOrNil(13) else { return nil }
        return Escalation.Outcome(
            resolution: Resolution.word(stored: resolution), plan: try row.parsedJSONOrNil(14), by: try row.text(15),
            notes: try row.textOrNil(16), at: try row.timestamp(17)
        )
    }
}
