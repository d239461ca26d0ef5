package import Contracts
package import FoundationEssentials
package import Postgres

/// What the leading replica asks Postgres to find work that nobody else would come back to.
package final class ReconciliationStore: Sendable {
    /// Queued tasks of one role and tenant are counted up to this.
    package static let queuedCountMax = 1000
    let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// The database's time.
    package func time() async throws -> Date? { try await pool.execute(ReadTime()).first }

    package func inFlight() async throws -> [DispatchHint.Count: Int] {
        Dictionary(try await pool.execute(CountInFlight()).map { ($0.key, $0.count) }) { $0 + $1 }
    }

    /// Due tasks waiting, by role and tenant, each counted up to `queuedCountMax`.
    package func queued() async throws -> [DispatchHint.Count: Int] {
        Dictionary(try await pool.execute(CountQueued(max: Self.queuedCountMax)).map { ($0.key, $0.count) }) { $0 + $1 }
    }

    /// Tasks that limits on labels hold back, by role and tenant, each counted up to `queuedCountMax`.
    package func held() async throws -> [DispatchHint.Count: Int] {
        Dictionary(try await pool.execute(CountHeld(max: Self.queuedCountMax)).map { ($0.key, $0.count) }) { $0 + $1 }
    }

    /// Lets go what is held back by a limit that there is no more; answers how many, at most `limit`.
    package func releaseUnlimited(_ limits: LabelLimits, limit: Int) async throws -> Int {
        try await pool.execute(ReleaseUnlimited(limits: limits, limit: limit)).first ?? 0
    }

    /// Tasks whose lease has passed its deadline: the oldest, but for those of `others`.
    package func overdue(besides others: Set<TenantID> = [], limit: Int) async throws -> [OverdueTask] {
        try await pool.execute(OverdueTasks(others: others.map(\.text), limit: limit))
    }

    /// How many attempts of each role were dispatched longer ago than `age`.
    package func runningCounts(age: Duration) async throws -> [AgentRole: Int] {
        let counts = try await pool.execute(CountRunning(ageSeconds: Double(age.components.seconds)))
        return Dictionary(counts.map { ($0.role, $0.count) }) { $0 + $1 }
    }

    /// Attempts of `role` dispatched longer ago than `age`, after the given id, for deriving their messages again: at
    /// most `limit`, and none after those whose inputs and drafts have reached `bytesMax`.
    package func running(
        role: AgentRole?, age: Duration, after: TaskID?, limit: Int, bytesMax: Int
    ) async throws -> [QueuedTask] {
        let ageSeconds = Double(age.components.seconds)
        return try await pool.execute(
            RunningTasks(role: role, ageSeconds: ageSeconds, after: after, limit: limit, bytesMax: bytesMax))
    }

    /// How each stream of the bus looked when it was last compared.
    package func streams() async throws -> [SeenStream] { try await pool.execute(ListStreams()) }

    package func saw(_ stream: SeenStream) async throws { _ = try await pool.execute(SaveStream(stream: stream)) }

    /// Drops expired idempotency keys; answers how many.
    package func purgeIdempotencyKeys(limit: Int) async throws -> Int {
        try await pool.execute(PurgeIdempotencyKeys(limit: limit)).first ?? 0
    }
}

/// One incarnation of a JetStream stream; a stream that was wiped and made again has another `created`.
package struct SeenStream: Sendable, Equatable {
    package let name: String
    package let created: String
    package let lastSequence: UInt64

    package init(name: String, created: String, lastSequence: UInt64) {
        self.name = name
        self.created = created
        self.lastSequence = lastSequence
    }
}

struct RoleCount: Sendable {
    let key: DispatchHint.Count
    let count: Int

    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        key = DispatchHint.Count(role: try row.name(0), tenant: try row.name(1))
        count = try row.int(2)
    }
}

struct CountInFlight: PostgresStatement {
    static let isReadOnly = true
    static let sql = """
        SELECT role, tenant_id, count(*) FROM tasks
        WHERE state IN ('developing', 'deploying', 'canceling') GROUP BY role, tenant_id
        """

    func bind(to bindings: inout PostgresBindings) {}

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> RoleCount { try RoleCount(row) }
}

/// Hops from one (role, tenant) to the next in an index, so that a backlog of 200,000 costs what one costs.
///
/// - Parameter condition: what belongs to the index besides being queued.
private func countQueued(where condition: String) -> String {
    """
    WITH RECURSIVE pairs AS (
        (SELECT role, tenant_id FROM tasks t WHERE t.state = 'queued' AND
    """ + condition + """
             ORDER BY role, tenant_id LIMIT 1)
            UNION ALL
            SELECT next.role, next.tenant_id FROM pairs p CROSS JOIN LATERAL (
                SELECT role, tenant_id FROM tasks t
                WHERE (t.role, t.tenant_id) > (p.role, p.tenant_id) AND t.state = 'queued' AND
        """ + condition + """
                     ORDER BY t.role, t.tenant_id LIMIT 1
                ) next
            )
            SELECT p.role, p.tenant_id, due.count FROM pairs p CROSS JOIN LATERAL (
                SELECT count(*) AS count FROM (
                    SELECT 1 FROM tasks t
                    WHERE t.role = p.role AND t.tenant_id = p.tenant_id AND t.run_at <= clock_timestamp()
                        AND t.state = 'queued' AND
            """ + condition + """
                     LIMIT $1
                ) sample
            ) due WHERE due.count > 0
            """
}

struct CountQueued: PostgresStatement {
    let max: Int

    static let isReadOnly = true
    static let sql = countQueued(where: " t.held_label IS NULL ")

    func bind(to bindings: inout PostgresBindings) { bindings.int(max) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> RoleCount { try RoleCount(row) }
}

/// Those that a limit on a label holds back.
struct CountHeld: PostgresStatement {
    let max: Int

    static let isReadOnly = true
    static let sql = countQueued(where: " t.held_label IS NOT NULL ")

    func bind(to bindings: inout PostgresBindings) { bindings.int(max) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> RoleCount { try RoleCount(row) }
}

package struct OverdueTask: Sendable {
    package let task: TaskID
    package let tenant: TenantID
    package let attempt: Int
    /// Whether the attempt's work still waits in the outbox.
    package let isUnsent: Bool
    /// The run it waits for; nil when it waits for none, or the sandbox has not taken it on.
    package let run: Run?

    package struct Run: Sendable {
        package let id: ExecutionID
        package let state: Execution.State
        /// When it was begun last.
        package let startedAt: Date?
    }
}

/// Each half reads an index of its own, and what belongs to each of the few is looked up by its name.
struct OverdueTasks: PostgresStatement {
    let others: [String]
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH overdue AS MATERIALIZED (
            (
                SELECT id, tenant_id, state, attempt, lease_token FROM tasks
                WHERE state IN ('developing', 'testing', 'reviewing', 'deploying', 'canceling')
                    AND deadline < clock_timestamp() AND tenant_id <> ALL ($2::text[])
                ORDER BY deadline LIMIT $1
            ) UNION ALL (
                SELECT id, tenant_id, state, attempt, lease_token FROM tasks
                WHERE state IN ('awaiting_approval', 'escalated') AND deadline < clock_timestamp()
                    AND tenant_id <> ALL ($2::text[])
                ORDER BY deadline LIMIT $1
            ) LIMIT $1
        )
        SELECT t.id, t.attempt,
            t.state IN ('developing', 'deploying')
                AND EXISTS (SELECT FROM outbox o WHERE o.message_id = t.id::text || '.' || t.attempt::text),
            run.id, run.state, run.started_at, t.tenant_id
        FROM overdue t LEFT JOIN LATERAL (
            SELECT x.id, x.state, x.started_at FROM sandbox_executions x
            WHERE x.id = CASE WHEN t.state = 'testing' THEN t.lease_token::uuid END AND x.tenant_id = t.tenant_id
            LIMIT 1
        ) run ON true
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(limit)
        bindings.texts(others)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> OverdueTask {
        OverdueTask(
            task: TaskID(try row.uuid(0)), tenant: try row.name(6), attempt: try row.int(1), isUnsent: try row.bool(2),
            run: try run(row))
    }

    private static func run(_ row: borrowing PostgresRow) throws(PostgresError) -> OverdueTask.Run? {
        guard let id = try row.uuidOrNil(3), let state = Execution.State(rawValue: try row.text(4)) else { return nil }
        return OverdueTask.Run(id: ExecutionID(id), state: state, startedAt: try row.timestampOrNil(5))
    }
}

/// What waits in the outbox is not lost: the relay publishes it.
struct CountRunning: PostgresStatement {
    let ageSeconds: Double

    static let isReadOnly = true
    static let sql = """
        SELECT role, count(*) FROM tasks
        WHERE state IN ('developing', 'deploying')
            AND dispatched_at < clock_timestamp() - make_interval(secs => $1)
            AND NOT EXISTS (SELECT FROM outbox o WHERE o.task_id = tasks.id)
        GROUP BY role
        """

    func bind(to bindings: inout PostgresBindings) { bindings.double(ageSeconds) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (role: AgentRole, count: Int) {
        (try row.name(0), try row.int(1))
    }
}

struct RunningTasks: PostgresStatement {
    let role: AgentRole?
    let ageSeconds: Double
    let after: TaskID?
    let limit: Int
    let bytesMax: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + TaskRow.columns + """
            , t.input, t.draft FROM (
                SELECT *, sum(octet_length(input::text) + coalesce(octet_length(draft::text), 0)) OVER earlier
                    AS bytes_before
                FROM (
                    SELECT * FROM tasks
                    WHERE state IN ('developing', 'deploying') AND ($1::text IS NULL OR role = $1)
                        AND dispatched_at < clock_timestamp() - make_interval(secs => $2)
                        AND ($3::uuid IS NULL OR id > $3)
                        AND NOT EXISTS (SELECT FROM outbox o WHERE o.task_id = tasks.id)
                    ORDER BY id LIMIT $4
                ) page
                WINDOW earlier AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            ) t
            WHERE coalesce(t.bytes_before, 0) < $5 ORDER BY t.id
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(role?.text)
        bindings.double(ageSeconds)
        bindings.uuid(after?.uuid)
        bindings.int(limit)
        bindings.int(bytesMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> QueuedTask {
        try QueuedTask(row)
    }
}

struct ListStreams: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT stream, created, last_sequence FROM bus_streams"

    func bind(to bindings: inout PostgresBindings) {}

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> SeenStream {
        SeenStream(
            name: try row.text(0), created: try row.text(1), lastSequence: UInt64(max(0, try row.int(2)))
        )
    }
}

struct SaveStream: PostgresStatement {
    let stream: SeenStream

    static let sql = """
        INSERT INTO bus_streams (stream, created, last_sequence, seen_at) VALUES ($1, $2, $3, clock_timestamp())
        ON CONFLICT (stream) DO UPDATE
        SET created = excluded.created, last_sequence = excluded.last_sequence, seen_at = excluded.seen_at
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(stream.name)
        bindings.text(stream.created)
        bindings.int(Int(clamping: stream.lastSequence))
    }
}

struct ReadTime: PostgresStatement {
    static let sql = "SELECT clock_timestamp()"
    static let isReadOnly = true

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Date { try row.timestamp(0) }
}

struct PurgeIdempotencyKeys: PostgresStatement {
    let limit: Int

    static let sql = """
        WITH gone AS (
            DELETE FROM idempotency_keys WHERE ctid IN (
                SELECT ctid FROM idempotency_keys WHERE expires_at < clock_timestamp() LIMIT $1
            ) RETURNING 1
        )
        SELECT count(*) FROM gone
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
