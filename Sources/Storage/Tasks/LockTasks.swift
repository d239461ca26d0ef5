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

/// The same for those that nobody else holds locked; the others are passed over.
struct LockFreeTasks: PostgresStatement {
    let ids: [TaskID]

    static let planning = PostgresPlanning.once
    static let sql =
        "SELECT " + TaskRow.columns + """
             FROM tasks t WHERE t.id = ANY($1::uuid[]) ORDER BY t.id FOR UPDATE SKIP LOCKED
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
    let promptBytes: Int
    let now: Date

    static let sql = TakenTask.sql(
        reading: """
            SELECT q.* FROM unnest($3::text[], $4::text[], $5::int8[]) AS g(role, tenant_id, count)
            CROSS JOIN LATERAL (
                SELECT * FROM tasks t
                WHERE t.state = 'queued' AND t.held_label IS NULL AND t.role = g.role AND t.tenant_id = g.tenant_id
                    AND t.run_at <= $6
                ORDER BY t.priority DESC, t.run_at, t.id
                LIMIT g.count FOR UPDATE SKIP LOCKED
            ) q
            """)

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(TakenTask.bytesMax)
        bindings.int(promptBytes)
        bindings.texts(grants.map { $0.key.role.text })
        bindings.texts(grants.map { $0.key.tenant.text })
        bindings.ints(grants.map(\.count))
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TakenTask { try TakenTask(row) }
}
