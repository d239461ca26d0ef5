internal import Contracts
internal import Postgres

/// A queued task as it was found for the dispatcher: all of what is found is locked, and only so much is read.
enum TakenTask: Sendable {
    case read(QueuedTask)
    /// Left for the next time, since those before it fill the memory for one.
    case left(DispatchHint.Count)

    /// What may be taken at once of inputs, drafts and prompts: every one of them is several times in memory, and all
    /// the messages made of them go to Postgres in one statement, which must stay well below 64 MiB.
    static let bytesMax = 16 << 20

    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        let task = try TaskRow.read(row)
        guard let input = try row.parsedJSONOrNil(TaskRow.count) else {
            self = .left(DispatchHint.Count(role: task.role, tenant: task.tenant))
            return
        }
        self = .read(QueuedTask(task: task, input: input, draft: try row.parsedJSONOrNil(TaskRow.count + 1)))
    }

    /// Reads what `rows` finds until $1 bytes are reached, and the first in any case; $2 is what comes to each besides.
    ///
    /// Roles and tenants take turns, and whose turn is first is drawn by lot: large tasks of some must not keep others
    /// waiting.
    static func sql(reading rows: String) -> String {
        "SELECT " + TaskRow.columns + """
            , CASE WHEN t.fits THEN t.input END, CASE WHEN t.fits THEN t.draft END FROM (
                SELECT *, coalesce(
                    sum(octet_length(input::text) + coalesce(octet_length(draft::text), 0) + $2) OVER earlier, 0
                ) < $1 AS fits
                FROM (
                    SELECT *, random() AS lot, row_number() OVER (
                        PARTITION BY role, tenant_id ORDER BY priority DESC, run_at, id
                    ) AS turn
                    FROM (
            """ + rows + """
                        ) found
                    ) drawn
                    WINDOW earlier AS (ORDER BY turn, lot ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                ) t ORDER BY t.turn, t.lot
                """
    }
}
