internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads a `sandbox_executions` row selected with `ExecutionRow.columns`.
enum ExecutionRow {
    /// In the order `read` expects; the table's alias is `x`.
    static let columns = """
        x.id, x.tenant_id, x.caller, x.task_id, x.attempt, x.language, x.traceparent, x.state, x.created_at, x.tries, \
        x.started_at, x.cancel_requested_at IS NOT NULL, x.status, x.result, x.pieces, x.ended_at, x.request_sha256
        """
    /// The first column after `columns`.
    static let count: Int = 17

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution {
        let text = try row.text(7)
        guard let state = Execution.State(rawValue: text) else {
            throw TaskRow.unreadable("sandbox_executions.state is \(text)")
        }
        return Execution(
            id: ExecutionID(try row.uuid(0)), tenant: try row.name(1), caller: try row.text(2),
            task: try row.uuidOrNil(3).map { TaskID($0) }, attempt: try row.intOrNil(4), language: try row.text(5),
            traceparent: try row.textOrNil(6), state: state, createdAt: try row.timestamp(8), tries: try row.int(9),
            startedAt: try row.timestampOrNil(10), isCancelRequested: try row.bool(11),
            ending: state == .ended ? try ending(row) : nil, requestHash: try row.bytes(16)
        )
    }

    private static func ending(_ row: borrowing PostgresRow) throws(PostgresError) -> Execution.Ending {
        let text = try row.text(12)
        guard let status = SandboxStatus(rawValue: text) else {
            throw TaskRow.unreadable("sandbox_executions.status is \(text)")
        }
        return Execution.Ending(
            status: status, result: try row.parsedJSON(13), pieces: try row.textOrNil(14), at: try row.timestamp(15)
        )
    }
}
