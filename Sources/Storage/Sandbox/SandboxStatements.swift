internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// No row: there is one of that id, or the tenant has too many waiting. The one run that a task of the tenant is under
/// test with stands in line all the same: tasks are bounded themselves.
struct InsertExecution: PostgresStatement {
    let new: NewExecution
    let waitingMax: Int

    static let sql =
        """
        INSERT INTO sandbox_executions AS x (
            id, tenant_id, caller, task_id, attempt, language, request, request_sha256, traceparent
        )
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
        WHERE (
            SELECT count(*) FROM (
                SELECT 1 FROM sandbox_executions WHERE tenant_id = $2 AND state = 'queued' LIMIT $10
            ) waiting
        ) < $10 OR EXISTS (
            SELECT FROM tasks
            WHERE id = $4 AND tenant_id = $2 AND state = 'testing' AND lease_token = $1::text
        )
        ON CONFLICT (id) DO NOTHING RETURNING\u{20}
        """ + ExecutionRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(new.id.uuid)
        bindings.text(new.tenant.text)
        bindings.text(new.caller)
        bindings.uuid(new.task?.uuid)
        bindings.int32(new.attempt.map { Int32(clamping: $0) })
        bindings.text(new.language)
        bindings.json(Array(new.request.bytes))
        bindings.bytes(new.requestHash)
        bindings.text(new.traceparent)
        bindings.int(waitingMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution { try ExecutionRow.read(row) }
}

struct FindExecution: PostgresStatement {
    let id: ExecutionID

    static let isReadOnly = true
    static let sql = "SELECT " + ExecutionRow.columns + " FROM sandbox_executions x WHERE x.id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution { try ExecutionRow.read(row) }
}

struct EndedExecutionIDs: PostgresStatement {
    let ids: [ExecutionID]

    static let isReadOnly = true
    static let sql = "SELECT id FROM sandbox_executions WHERE id = ANY($1::uuid[]) AND state = 'ended'"

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ExecutionID {
        ExecutionID(try row.uuid(0))
    }
}

/// The first in line of each tenant before the second of any, so that none hides behind another.
struct WaitingExecutions: PostgresStatement {
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT id, tenant_id FROM (
            SELECT id, tenant_id, created_at,
                row_number() OVER (PARTITION BY tenant_id ORDER BY created_at, id) AS place
            FROM sandbox_executions WHERE state = 'queued'
        ) q ORDER BY place, created_at LIMIT $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: ExecutionID, tenant: TenantID) {
        (ExecutionID(try row.uuid(0)), try row.name(1))
    }
}

struct CountWaitingExecutions: PostgresStatement {
    static let isReadOnly = true
    static let sql = """
        SELECT count(*) FROM sandbox_executions WHERE state = 'queued'
        """

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Takes a run that waits. No row: somebody else has it, or it was canceled.
struct ClaimExecution: PostgresStatement {
    let id: ExecutionID
    let executor: String
    let leaseSeconds: Double

    static let sql =
        """
        UPDATE sandbox_executions x SET state = 'running', executor = $2, tries = x.tries + 1,
            lease_until = clock_timestamp() + $3::interval, started_at = clock_timestamp()
        WHERE x.id = $1 AND x.state = 'queued' RETURNING\u{20}
        """ + ExecutionRow.columns + ", x.request"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(executor)
        bindings.interval(seconds: leaseSeconds)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ClaimedExecution {
        ClaimedExecution(execution: try ExecutionRow.read(row), request: try row.parsedJSON(ExecutionRow.count))
    }
}

/// Extends leases; those that are not answered were lost.
struct RenewExecutions: PostgresStatement {
    let ids: [ExecutionID]
    let executor: String
    let leaseSeconds: Double

    static let sql = """
        UPDATE sandbox_executions SET lease_until = clock_timestamp() + $3::interval
        WHERE id = ANY($1::uuid[]) AND state = 'running' AND executor = $2
        RETURNING id, cancel_requested_at IS NOT NULL
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(ids.map(\.uuid))
        bindings.text(executor)
        bindings.interval(seconds: leaseSeconds)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: ExecutionID, isCanceled: Bool) {
        (ExecutionID(try row.uuid(0)), try row.bool(1))
    }
}

/// Ends a run with its one result. No row: the claim was lost meanwhile, and the result with it.
struct EndExecution: PostgresStatement {
    let id: ExecutionID
    let executor: String
    let tries: Int
    let status: SandboxStatus
    let result: JSON
    let pieces: String

    static let sql = """
        UPDATE sandbox_executions SET state = 'ended', status = $4, result = $5, pieces = $6, request = NULL,
            ended_at = clock_timestamp()
        WHERE id = $1 AND state = 'running' AND executor = $2 AND tries = $3 RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(executor)
        bindings.int32(Int32(clamping: tries))
        bindings.text(status.rawValue)
        bindings.json(Array(result.bytes))
        bindings.text(pieces)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

/// What becomes of a run `x` that its executor does not end: it waits again, unless the row `v` gives it a result.
/// Without pieces, by which such an end is known.
private enum ReturnedExecution {
    static let assignments = """
        state = CASE WHEN v.status IS NULL THEN 'queued' ELSE 'ended' END, executor = NULL, lease_until = NULL,
            status = v.status, result = v.result, request = CASE WHEN v.status IS NULL THEN x.request END,
            ended_at = CASE WHEN v.status IS NOT NULL THEN clock_timestamp() END
        """
}

/// Puts a run back that was begun and not ended, because its executor shuts down; one that is to be canceled ends.
struct ReleaseExecution: PostgresStatement {
    let id: ExecutionID
    let executor: String
    let tries: Int
    let canceled: JSON

    static let sql =
        "UPDATE sandbox_executions x SET " + ReturnedExecution.assignments + """
             FROM (
                SELECT id, CASE WHEN cancel_requested_at IS NOT NULL THEN 'canceled' END AS status,
                    CASE WHEN cancel_requested_at IS NOT NULL THEN $4::json END AS result
                FROM sandbox_executions
                WHERE id = $1 AND state = 'running' AND executor = $2 AND tries = $3 FOR UPDATE
            ) v WHERE x.id = v.id RETURNING x.id
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(executor)
        bindings.int32(Int32(clamping: tries))
        bindings.json(Array(canceled.bytes))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

/// Runs whose executor is gone: they wait again, or end when they lost theirs too often or are to be canceled.
struct TakeBackExecutions: PostgresStatement {
    let lostMax: Int
    let lost: JSON
    let canceled: JSON

    static let sql =
        "UPDATE sandbox_executions x SET lost = x.lost + 1, " + ReturnedExecution.assignments + """
             FROM (
                SELECT id,
                    CASE WHEN cancel_requested_at IS NOT NULL THEN 'canceled'
                        WHEN lost + 1 >= $1 THEN 'sandbox_error' END AS status,
                    CASE WHEN cancel_requested_at IS NOT NULL THEN $3::json
                        WHEN lost + 1 >= $1 THEN $2::json END AS result
                FROM sandbox_executions WHERE state = 'running' AND lease_until < clock_timestamp()
                ORDER BY lease_until LIMIT 100 FOR UPDATE SKIP LOCKED
            ) v WHERE x.id = v.id RETURNING x.id
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int32(Int32(clamping: lostMax))
        bindings.json(Array(lost.bytes))
        bindings.json(Array(canceled.bytes))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}

/// One that waits ends at once; one that runs is asked to.
struct CancelExecution: PostgresStatement {
    let id: ExecutionID
    let tenant: TenantID
    let result: JSON

    static let sql =
        """
        UPDATE sandbox_executions x SET
            cancel_requested_at = coalesce(x.cancel_requested_at, clock_timestamp()),
            status = CASE x.state WHEN 'queued' THEN 'canceled' ELSE x.status END,
            result = CASE x.state WHEN 'queued' THEN $3::json ELSE x.result END,
            request = CASE x.state WHEN 'queued' THEN NULL ELSE x.request END,
            ended_at = CASE x.state WHEN 'queued' THEN clock_timestamp() ELSE x.ended_at END,
            state = CASE x.state WHEN 'queued' THEN 'ended' ELSE x.state END
        WHERE x.id = $1 AND x.tenant_id = $2 AND x.state <> 'ended' RETURNING\u{20}
        """ + ExecutionRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
        bindings.json(Array(result.bytes))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution { try ExecutionRow.read(row) }
}

/// Names what came last to the table.
struct CheckSandboxSchema: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT lost FROM sandbox_executions LIMIT 0"

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Results whose publication nobody has confirmed.
struct UnpublishedExecutions: PostgresStatement {
    let olderThanSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT id, tenant_id FROM sandbox_executions
        WHERE state = 'ended' AND published_at IS NULL AND ended_at < clock_timestamp() - $1::interval
        ORDER BY ended_at LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.interval(seconds: olderThanSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: ExecutionID, tenant: TenantID) {
        (ExecutionID(try row.uuid(0)), try row.name(1))
    }
}

struct MarkExecutionsPublished: PostgresStatement {
    let ids: [ExecutionID]

    static let sql = """
        UPDATE sandbox_executions SET published_at = clock_timestamp()
        WHERE id = ANY($1::uuid[]) AND state = 'ended' AND published_at IS NULL
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }
}

/// Forgets what ended long ago, some at a time.
struct PurgeExecutions: PostgresStatement {
    let olderThanSeconds: Double
    let limit: Int

    static let sql = """
        DELETE FROM sandbox_executions WHERE id IN (
            SELECT id FROM sandbox_executions
            WHERE state = 'ended' AND ended_at < clock_timestamp() - $1::interval AND published_at IS NOT NULL
            ORDER BY ended_at LIMIT $2
        ) RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.interval(seconds: olderThanSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> UUID { try row.uuid(0) }
}
