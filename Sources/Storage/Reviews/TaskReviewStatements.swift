internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Tasks that wait for their peers, with what is to be reviewed and whose it is.
struct ReviewedTasks: PostgresStatement {
    let ids: [TaskID]

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + """
            , t.draft, a.owner FROM tasks t LEFT JOIN agents a ON a.id = t.draft_agent
            WHERE t.id = ANY($1::uuid[]) AND t.state = 'reviewing' AND t.draft IS NOT NULL
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewedTask {
        ReviewedTask(
            task: try TaskRow.read(row), artifact: try row.parsedJSON(TaskRow.count),
            owner: try row.textOrNil(TaskRow.count + 1)
        )
    }
}

/// Tasks under review whose session is not decided, after the given id; those without any session only, when asked so.
struct UndecidedTasks: PostgresStatement {
    let ageSeconds: Double
    let isUnopened: Bool
    let after: TaskID?
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH waiting AS MATERIALIZED (
            SELECT id, lease_token::uuid AS session_id FROM tasks
            WHERE state = 'reviewing' AND dispatched_at < clock_timestamp() - make_interval(secs => $1)
                AND ($3::uuid IS NULL OR id > $3)
        )
        SELECT w.id FROM waiting w LEFT JOIN peer_review_sessions s ON s.id = w.session_id
        WHERE s.id IS NULL OR (s.status = 'open' AND NOT $2)
        ORDER BY w.id LIMIT $4
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.bool(isUnopened)
        bindings.uuid(after?.uuid)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskID { TaskID(try row.uuid(0)) }
}

/// Sessions that were decided a while ago and whose tasks still wait for them: tenants take turns, for a tenant's
/// decisions may all wait for rows that somebody holds locked.
struct UnheardDecisions: PostgresStatement {
    let ageSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH waiting AS MATERIALIZED (
            SELECT tenant_id, lease_token::uuid AS session_id FROM tasks WHERE state = 'reviewing'
        )
        SELECT id FROM (
            SELECT s.id, s.decided_at, row_number() OVER (PARTITION BY w.tenant_id ORDER BY s.decided_at, s.id) AS place
            FROM waiting w JOIN peer_review_sessions s ON s.id = w.session_id
            WHERE s.decided_at < clock_timestamp() - make_interval(secs => $1) AND s.status <> 'canceled'
        ) u ORDER BY place, decided_at, id LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewID { ReviewID(try row.uuid(0)) }
}

/// Open sessions of tasks that have ended, or were escalated for want of the session's decision.
struct AbandonedReviews: PostgresStatement {
    let ageSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT s.id, s.tenant_id, s.task_id FROM peer_review_sessions s JOIN tasks t ON t.id = s.task_id
        WHERE s.status = 'open' AND t.updated_at < clock_timestamp() - make_interval(secs => $1)
            AND (t.ended_at IS NOT NULL OR EXISTS (
                SELECT FROM escalations e WHERE e.task_id = s.task_id AND e.review_session_id = s.id
            ))
        ORDER BY s.deadline LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewCancellation {
        ReviewCancellation(
            session: ReviewID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
            reason: "The task does not wait for it any more."
        )
    }
}
