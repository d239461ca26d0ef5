internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads an escalation with what its task has left; what was tried before and who is online come apart.
enum CaseRow {
    static let columns = """
        e.id, e.tenant_id, e.task_id, e.attempt, e.agent_role, e.source, e.reason, e.guard, e.classification,
        e.rework_round, e.traceparent, e.created_at, t.budget_tokens, t.usage_tokens, t.timeout_seconds
        """
    static let tables = " FROM escalations e LEFT JOIN tasks t ON t.id = e.task_id "
    /// The first column after `columns`.
    static let count: Int = 15

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> EscalationCase {
        let usage = try row.intOrNil(13) ?? 0
        return EscalationCase(
            id: EscalationID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
            attempt: try row.int(3), role: try row.textOrNil(4).flatMap { AgentRole($0) }, source: try row.text(5),
            reason: try row.text(6), failedGuard: try row.textOrNil(7).flatMap { Guard(rawValue: $0) },
            filedAs: try row.classificationOrNil(8), rework: try row.int(9), traceparent: try row.textOrNil(10),
            createdAt: try row.timestamp(11), budgetLeft: try row.intOrNil(12).map { $0 - usage },
            timeoutSeconds: try row.intOrNil(14) ?? Stage.timeoutDefaultSeconds
        )
    }
}

/// Locks escalations that nobody has met: those named, or when none are those whose message should have come by now.
/// What another supervisor has in hand is left to it.
struct TakeEscalations: PostgresStatement {
    let ids: [EscalationID]?
    let graceSeconds: Double
    let limit: Int

    static let sql =
        "SELECT " + CaseRow.columns + CaseRow.tables + """
            WHERE e.status = 'open' AND e.decision IS NULL AND CASE WHEN $1::uuid[] IS NULL
                THEN e.created_at < clock_timestamp() - make_interval(secs => $2) ELSE e.id = ANY($1) END
            ORDER BY e.created_at LIMIT $3 FOR NO KEY UPDATE OF e SKIP LOCKED
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(ids.map { $0.map(\.uuid) })
        bindings.double(graceSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> EscalationCase { try CaseRow.read(row) }
}

/// What went before in some tasks.
struct ListEarlier: PostgresStatement {
    /// Of one task: more would take as many human resolutions.
    static let perTaskMax = 50

    let tasks: [TaskID]

    static let isReadOnly = true
    static let sql = """
        SELECT e.task_id, e.id, e.source, e.guard, e.reason, e.resolution,
            e.decision IS NOT NULL AND e.resolved_by = 'supervisor', e.classification
        FROM (SELECT DISTINCT unnest($1::uuid[]) AS id) u CROSS JOIN LATERAL (
            SELECT * FROM escalations x WHERE x.task_id = u.id AND x.status = 'resolved' ORDER BY x.id DESC LIMIT $2
        ) e ORDER BY e.id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(tasks.map(\.uuid))
        bindings.int(Self.perTaskMax)
    }

    static func row(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (task: TaskID, earlier: EscalationCase.Earlier) {
        let resolution = try row.textOrNil(5).map { Resolution.word(stored: $0) }
        let earlier = EscalationCase.Earlier(
            source: try row.text(2), failedGuard: try row.textOrNil(3).flatMap { Guard(rawValue: $0) },
            classification: try row.classificationOrNil(7), reason: try row.text(4), resolution: resolution,
            isAutomatic: try row.bool(6)
        )
        return (TaskID(try row.uuid(0)), earlier)
    }
}

/// Roles for which an agent was heard of lately.
struct ListRolesOnline: PostgresStatement {
    static let rolesMax = 1000

    let seconds: Double

    static let isReadOnly = true
    static let sql = """
        SELECT DISTINCT unnest(roles) FROM agents
        WHERE last_seen > clock_timestamp() - make_interval(secs => $1) LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(seconds)
        bindings.int(Self.rolesMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AgentRole? { AgentRole(try row.text(0)) }
}

/// Writes what is done next about escalations whose rows are locked.
struct WriteSteps: PostgresStatement {
    struct Step {
        let id: EscalationID
        var classification: EscalationCause.Classification?
        var signature: String?
        let step: SupervisorStep
        var ticket: AnalysisTicket?
        var analyst: AgentID?
        var analysis: JSON?
        var analysisTokens = 0

        var decision: JSON? { if case .resolve(let resolution, _) = step { resolution.json } else { nil } }
        var rule: String? { if case .resolve(_, let rule) = step { rule } else { nil } }
        var reason: HumanReason? { if case .leaveToHuman(let reason) = step { reason } else { nil } }
        var form: AnalysisForm? { if case .ask(let form) = step { form } else { nil } }
    }

    let rows: [Step]
    let analystSeconds: Double

    static let sql = """
        UPDATE escalations e SET
            classification = coalesce(u.classification, e.classification),
            signature = coalesce(u.signature, e.signature), decision = u.decision, decision_rule = u.rule,
            decided_at = CASE WHEN u.decision IS NOT NULL THEN clock_timestamp() END, human_reason = u.human_reason,
            waiting_since = CASE WHEN u.human_reason IS NOT NULL THEN clock_timestamp() END,
            analysis_form = coalesce(u.form, e.analysis_form), analysis_work = coalesce(u.work, e.analysis_work),
            analysis_token = coalesce(u.token, e.analysis_token),
            analysis_deadline = CASE WHEN u.form IS NULL THEN e.analysis_deadline
                ELSE clock_timestamp() + make_interval(secs => $12) END,
            analyst = coalesce(u.analyst, e.analyst), analysis = coalesce(u.analysis, e.analysis),
            analysis_tokens = e.analysis_tokens + u.analysis_tokens,
            status = CASE WHEN u.human_reason IS NOT NULL THEN 'waiting_for_human' WHEN u.form IS NOT NULL
                THEN 'analyzing' ELSE e.status END,
            updated_at = clock_timestamp()
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[],
            $10::text[], $11::json[], $13::int8[]
        ) AS u(
            id, classification, signature, decision, rule, human_reason, form, work, token, analyst, analysis,
            analysis_tokens
        )
        WHERE e.id = u.id AND e.status IN ('open', 'analyzing') AND e.decision IS NULL
        """

    func bind(to bindings: inout PostgresBindings) {
        let asked = rows.map { $0.form == nil ? nil : $0.ticket }
        bindings.uuids(rows.map(\.id.uuid))
        bindings.texts(rows.map { $0.classification?.rawValue })
        bindings.texts(rows.map(\.signature))
        bindings.jsons(rows.map { $0.decision.map { Array($0.bytes) } })
        bindings.texts(rows.map(\.rule))
        bindings.texts(rows.map { $0.reason?.rawValue })
        bindings.texts(rows.map { $0.form?.rawValue })
        bindings.uuids(asked.map { $0?.work.uuid })
        bindings.texts(asked.map { $0?.token })
        bindings.texts(rows.map { $0.analyst?.text })
        bindings.jsons(rows.map { $0.analysis.map { Array($0.bytes) } })
        bindings.double(analystSeconds)
        bindings.ints(rows.map(\.analysisTokens))
    }
}

/// Names what came last to the table, which every step writes.
struct CheckSupervisionSchema: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT analysis_tokens FROM escalations LIMIT 0"

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

extension PostgresRow {
    borrowing func classificationOrNil(_ column: Int) throws(PostgresError) -> EscalationCause.Classification? {
        try textOrNil(column).flatMap { EscalationCause.Classification(rawValue: $0) }
    }
}
