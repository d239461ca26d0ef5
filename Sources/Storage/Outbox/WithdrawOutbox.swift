internal import Postgres

/// Takes messages out of the outbox in the transaction after which nobody is to be sent them any more.
///
/// Those that somebody is just forgetting were published: nobody waits for them.
struct WithdrawOutbox: PostgresStatement {
    let ids: [String]

    static let sql = """
        WITH waiting AS MATERIALIZED (
            SELECT message_id FROM outbox WHERE message_id = ANY($1::text[]) FOR UPDATE SKIP LOCKED
        )
        DELETE FROM outbox WHERE message_id IN (SELECT message_id FROM waiting)
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(ids) }
}
