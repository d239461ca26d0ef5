internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// One task with input and output.
struct FindTask: PostgresStatement {
    let id: TaskID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + ", t.input, t.output, t.draft FROM tasks t WHERE t.id = $1 AND t.tenant_id = $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskDocument {
        TaskDocument(
            task: try TaskRow.read(row), input: try row.parsedJSON(TaskRow.count),
            output: try row.parsedJSONOrNil(TaskRow.count + 1), draft: try row.parsedJSONOrNil(TaskRow.count + 2)
        )
    }
}

/// A page of a tenant's tasks, newest first.
struct ListTasks: PostgresStatement {
    let filter: TaskFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + """
             FROM tasks t
            WHERE t.tenant_id = $1 AND ($2::uuid IS NULL OR t.id < $2)
                AND ($3::text IS NULL OR t.state = $3) AND ($4::text IS NULL OR t.workflow = $4)
            ORDER BY t.id DESC LIMIT $5
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.tenant.text)
        bindings.uuid(filter.before?.uuid)
        bindings.text(filter.state?.rawValue)
        bindings.text(filter.workflow?.text)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord { try TaskRow.read(row) }
}

/// A page of a task's parts, newest first. Apart from `ListTasks`, since only so every plan can use the parts' index.
struct ListParts: PostgresStatement {
    let parent: TaskID
    let filter: TaskFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + """
             FROM tasks t
            WHERE t.parent_id = $6 AND t.tenant_id = $1 AND ($2::uuid IS NULL OR t.id < $2)
                AND ($3::text IS NULL OR t.state = $3) AND ($4::text IS NULL OR t.workflow = $4)
            ORDER BY t.id DESC LIMIT $5
            """

    func bind(to bindings: inout PostgresBindings) {
        ListTasks(filter: filter).bind(to: &bindings)
        bindings.uuid(parent.uuid)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord { try TaskRow.read(row) }
}

/// A stretch of a task's history.
struct ListEvents: PostgresStatement {
    let task: TaskID
    let tenant: TenantID
    let after: Int
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT task_id, tenant_id, sequence, kind, at, attempt, data FROM task_events
        WHERE task_id = $1 AND tenant_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(task.uuid)
        bindings.text(tenant.text)
        bindings.int(after)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskEvent {
        let kind = try row.text(3)
        guard let kind = TaskEvent.Kind(rawValue: kind) else { throw TaskRow.unreadable("task_events.kind is \(kind)") }
        return TaskEvent(
            task: TaskID(try row.uuid(0)), tenant: try row.name(1), sequence: try row.int(2), kind: kind,
            at: try row.timestamp(4), attempt: try row.int(5), data: try row.parsedJSON(6)
        )
    }
}

/// How many due tasks of the same role and tenant go before this one; counts to 1,000 at most.
struct CountAhead: PostgresStatement {
    let task: TaskRecord
    let runAt: Date

    static let isReadOnly = true
    static let sql = """
        SELECT count(*) FROM (
            SELECT 1 FROM tasks
            WHERE state = 'queued' AND held_label IS NULL AND role = $1 AND tenant_id = $2
                AND (priority > $3 OR (priority = $3 AND (run_at, id) < ($4, $5)))
            LIMIT 1000
        ) ahead
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(task.role.text)
        bindings.text(task.tenant.text)
        bindings.int(task.priority)
        bindings.timestamp(runAt)
        bindings.uuid(task.id.uuid)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
