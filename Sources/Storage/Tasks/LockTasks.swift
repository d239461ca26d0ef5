internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Locks tasks for a decision, in the order of their ids so that two batches never wait for each other in a circle.
struct LockTasks: PostgresStatement {
    let ids: [TaskID]

    static let planning = PostgresPlanning.once
    static let sql =
        "SELECT " + TaskRow.columns + """
             FROM tasks t WHERE t.id = ANY($1::uuid[]) ORDER BY t.id FOR UPDATE
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord { try TaskRow.read(row) }
}

extension QueuedTask {
    /// Reads `TaskRow.columns`, then input and draft.
    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        self.init(
            task: try TaskRow.read(row), input: try row.parsedJSON(TaskRow.count),
            draft: try row.parsedJSONOrNil(TaskRow.count + 1)
        )
    }
}

/// Takes due tasks for the dispatcher: of each role and tenant at most so many, by priority and then age.
///
/// Tasks that another transaction holds are skipped, not waited for.
struct TakeQueued: PostgresStatement {
    let grants: [(key: DispatchHint.Count, count: Int)]
    let now: Date

    static let sql =
        "SELECT " + TaskRow.columns + """
            , t.input, t.draft FROM unnest($1::text[], $2::text[], $3::int8[]) AS g(role, tenant_id, count)
            CROSS JOIN LATERAL (
                SELECT * FROM tasks q
                WHERE q.state = 'queued' AND q.held_label IS NULL AND q.role = g.role AND q.tenant_id = g.tenant_id
                    AND q.run_at <= $4
                ORDER BY q.priority DESC, q.run_at, q.id
                LIMIT g.count FOR UPDATE SKIP LOCKED
            ) t
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(grants.map { $0.key.role.text })
        bindings.texts(grants.map { $0.key.tenant.text })
        bindings.ints(grants.map(\.count))
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> QueuedTask {
        try QueuedTask(row)
    }
}
