/// What the stack's supervisor asks of its own Postgres servers, through psql: how they replicate, not what they hold.
struct ReplicationQuestion: Sendable {
    let sql: String
    /// Bound by psql where the statement says `:'place'`.
    var place = ""

    static let standbys = ReplicationQuestion(
        sql: "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
    static let reload = ReplicationQuestion(sql: "SELECT pg_reload_conf()")
    static let position = ReplicationQuestion(sql: "SELECT pg_current_wal_insert_lsn()")

    /// How many synchronous standbys have everything up to that position.
    static func arrived(at place: String) -> ReplicationQuestion {
        ReplicationQuestion(
            sql: "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= :'place'",
            place: place
        )
    }
}
