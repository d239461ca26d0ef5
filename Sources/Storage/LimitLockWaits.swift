internal import Postgres

/// From here on the transaction waits for a lock for half a second at most: see `PrepareBatch`.
struct LimitLockWaits: PostgresStatement {
    /// So that what follows, which is planned once, needs no change of the session's planning.
    static let planning = PostgresPlanning.once
    static let sql = "SELECT set_config('lock_timeout', '500ms', true)"

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}
