internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Tasks that wait for the sandbox, with what is to be run.
struct TestedTasks: PostgresStatement {
    let ids: [TaskID]

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + """
            , t.draft FROM tasks t
            WHERE t.id = ANY($1::uuid[]) AND t.state = 'testing' AND t.draft IS NOT NULL
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TestedTask {
        TestedTask(task: try TaskRow.read(row), artifact: try row.parsedJSON(TaskRow.count))
    }
}

/// Tasks whose execution was to be asked for a while ago, and nobody has it: tenants take turns.
struct UnaskedTasks: PostgresStatement {
    let ageSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH waiting AS MATERIALIZED (
            SELECT id, tenant_id, lease_token::uuid AS execution_id FROM tasks
            WHERE state = 'testing' AND dispatched_at < clock_timestamp() - make_interval(secs => $1)
        )
        SELECT id FROM (
            SELECT w.id, row_number() OVER (PARTITION BY w.tenant_id ORDER BY w.id) AS place
            FROM waiting w LEFT JOIN sandbox_executions x ON x.id = w.execution_id WHERE x.id IS NULL
        ) u ORDER BY place, id LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskID { TaskID(try row.uuid(0)) }
}

/// Executions that ended a while ago and whose tasks still wait for them: tenants take turns, for a tenant's results
/// may all wait for rows that somebody holds locked.
struct UnheardExecutions: PostgresStatement {
    let ageSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH waiting AS MATERIALIZED (
            SELECT id, tenant_id, lease_token::uuid AS execution_id FROM tasks WHERE state = 'testing'
        )
        SELECT id FROM (
            SELECT x.id, x.ended_at, row_number() OVER (PARTITION BY w.tenant_id ORDER BY x.ended_at, x.id) AS place
            FROM waiting w JOIN sandbox_executions x ON x.id = w.execution_id AND x.task_id = w.id
            WHERE x.state = 'ended' AND x.ended_at < clock_timestamp() - make_interval(secs => $1)
        ) u ORDER BY place, ended_at, id LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ExecutionID {
        ExecutionID(try row.uuid(0))
    }
}

/// Those of the executions that have ended and were asked for by a task.
struct EndedExecutions: PostgresStatement {
    let ids: [ExecutionID]

    static let isReadOnly = true
    static let sql =
        "SELECT " + ExecutionRow.columns + """
             FROM sandbox_executions x
            WHERE x.id = ANY($1::uuid[]) AND x.state = 'ended' AND x.task_id IS NOT NULL
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution { try ExecutionRow.read(row) }
}

/// Executions that stages of tasks have asked for, not ended, whose tasks do not wait for them any more.
struct AbandonedExecutions: PostgresStatement {
    /// Of callers that are stages.
    let prefix: String
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH open AS (
            SELECT id, tenant_id, task_id, caller, cancel_requested_at FROM sandbox_executions WHERE state = 'queued'
            UNION ALL
            SELECT id, tenant_id, task_id, caller, cancel_requested_at FROM sandbox_executions WHERE state = 'running'
        )
        SELECT x.id, x.tenant_id FROM open x JOIN tasks t ON t.id = x.task_id AND t.tenant_id = x.tenant_id
        WHERE starts_with(x.caller, $1) AND x.cancel_requested_at IS NULL
            AND (t.state <> 'testing' OR t.lease_token IS DISTINCT FROM x.id::text)
        LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(prefix)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskExecution {
        TaskExecution(id: ExecutionID(try row.uuid(0)), tenant: try row.name(1))
    }
}
