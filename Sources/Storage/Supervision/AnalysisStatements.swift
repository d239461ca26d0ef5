internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Analyses that nobody was asked for yet, with as much of the task as fits.
struct UnsentAnalyses: PostgresStatement {
    let materialBytesMax: Int
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + CaseRow.columns + """
            , e.analysis_form, e.analysis_work, e.analysis_token, e.analysis_deadline,
                CASE WHEN octet_length(t.input::text) <= $1 THEN t.input END,
                CASE WHEN octet_length(t.draft::text) <= $1 THEN t.draft END
            """ + CaseRow.tables + """
            WHERE e.status = 'analyzing' AND e.decision IS NULL AND e.analysis_sent_at IS NULL
                AND e.analysis_deadline > clock_timestamp()
            ORDER BY e.created_at LIMIT $2
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(materialBytesMax)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AnalysisRequest {
        let escalation = try CaseRow.read(row)
        let next = CaseRow.count
        return AnalysisRequest(
            escalation: escalation, classification: escalation.filedAs ?? .processIssue,
            form: try row.analysisForm(next),
            ticket: AnalysisTicket(work: TaskID(try row.uuid(next + 1)), token: try row.text(next + 2)),
            deadline: try row.timestamp(next + 3), input: try row.parsedJSONOrNil(next + 4),
            made: try row.parsedJSONOrNil(next + 5)
        )
    }
}

struct MarkAnalysesSent: PostgresStatement {
    let ids: [EscalationID]

    static let sql = """
        UPDATE escalations SET analysis_sent_at = clock_timestamp()
        WHERE id = ANY($1::uuid[]) AND status = 'analyzing' AND analysis_sent_at IS NULL
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }
}

/// An escalation in a transaction that holds its row, with what its analyst was handed.
struct LockedAnalysis: Sendable {
    let escalation: EscalationCase
    /// Nil: nobody was asked.
    let form: AnalysisForm?
    let ticket: AnalysisTicket?
    let isOpen: Bool
}

/// Locks one escalation for a report about it.
struct LockAnalysis: PostgresStatement {
    let id: EscalationID

    static let sql =
        "SELECT " + CaseRow.columns + """
            , e.analysis_form, e.analysis_work, e.analysis_token,
                e.status = 'analyzing' AND e.decision IS NULL AND e.analysis_deadline > clock_timestamp()
            """ + CaseRow.tables + "WHERE e.id = $1 FOR NO KEY UPDATE OF e"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LockedAnalysis {
        let next = CaseRow.count
        let isAsked = try !row.isNull(next)
        return LockedAnalysis(
            escalation: try CaseRow.read(row), form: isAsked ? try row.analysisForm(next) : nil,
            ticket: isAsked
                ? AnalysisTicket(work: TaskID(try row.uuid(next + 1)), token: try row.text(next + 2)) : nil,
            isOpen: try row.bool(next + 3)
        )
    }
}

/// What the analyst of an escalation reported to have used.
struct FindAnalysisTokens: PostgresStatement {
    let id: EscalationID

    static let isReadOnly = true
    static let sql = "SELECT analysis_tokens FROM escalations WHERE id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Leaves to humans what no analyst answered in time.
struct EndAnalyses: PostgresStatement {
    let limit: Int

    static let sql =
        """
        UPDATE escalations e SET status = 'waiting_for_human', human_reason = 'analyst_silent',
            waiting_since = clock_timestamp(), updated_at = clock_timestamp()
        WHERE id IN (
            SELECT id FROM escalations WHERE status = 'analyzing' AND decision IS NULL
                AND analysis_deadline <= clock_timestamp()
            ORDER BY created_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        )
        """ + WaitingRow.returning

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WaitingEscalation {
        try WaitingRow.read(row)
    }
}

/// Raises what has waited for a human too long. Each step is made once, whoever makes it.
struct RaiseSeverity: PostgresStatement {
    let times: SupervisionTimes
    let limit: Int

    static let sql =
        """
        UPDATE escalations e SET updated_at = clock_timestamp(),
            severity = CASE WHEN waiting_since <= clock_timestamp() - make_interval(secs => $2) THEN 'critical'
                ELSE 'warning' END
        WHERE id IN (
            SELECT id FROM escalations WHERE status = 'waiting_for_human' AND (
                severity <> 'critical' AND waiting_since <= clock_timestamp() - make_interval(secs => $2)
                OR severity = 'info' AND waiting_since <= clock_timestamp() - make_interval(secs => $1)
            ) ORDER BY created_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
        )
        """ + WaitingRow.returning

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(times.warningSeconds)
        bindings.double(times.criticalSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WaitingEscalation {
        try WaitingRow.read(row)
    }
}

enum WaitingRow {
    static let returning = """
         RETURNING e.id, e.tenant_id, e.task_id, e.severity, e.human_reason, e.waiting_since
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> WaitingEscalation {
        let severity = try row.text(3)
        guard let severity = Severity(rawValue: severity) else {
            throw TaskRow.unreadable("escalations.severity is \(severity)")
        }
        return WaitingEscalation(
            id: EscalationID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
            severity: severity, reason: try row.text(4), since: try row.timestamp(5)
        )
    }
}

extension PostgresRow {
    borrowing func analysisForm(_ column: Int) throws(PostgresError) -> AnalysisForm {
        let text = try text(column)
        guard let form = AnalysisForm(rawValue: text) else {
            throw TaskRow.unreadable("escalations.analysis_form is \(text)")
        }
        return form
    }
}
