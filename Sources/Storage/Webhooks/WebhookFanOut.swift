internal import Contracts
internal import Postgres

/// To whom the last event of a task goes besides the subscriptions.
struct TaskCallback: Sendable {
    let task: TaskID
    let sequence: Int
    let url: WebhookURL
}

/// The parts of the statements that append events which make a delivery of each event for each receiver, so that both
/// are committed or neither is. They read the rows that a part named `history` returns.
///
/// Where there are no receivers they come to one look at an empty table.
enum WebhookFanOut {
    /// The insert into which the rows below go.
    private static let insert = """
        heard AS (
            INSERT INTO webhook_deliveries (
                id, tenant_id, webhook_id, task_id, sequence, kind, url, host, state, due_at, created_at
            )
            SELECT gen_random_uuid(), r.tenant_id, r.webhook_id, r.task_id, r.sequence, r.kind, r.url, r.host,
                'pending', statement_timestamp(), statement_timestamp()
            FROM (
        """

    /// Those of the event's tenant that are subscribed to its kind.
    private static let subscribers = """

                SELECT h.tenant_id, w.id AS webhook_id, h.task_id, h.sequence, h.kind, w.url, w.host
                FROM history h JOIN webhooks w ON w.tenant_id = h.tenant_id
                WHERE w.state = 'active' AND h.kind = ANY (w.events)
        """

    /// The tasks' own, in the parameters 14 to 17.
    private static let callbacks = """

                UNION ALL
                SELECT h.tenant_id, NULL, h.task_id, h.sequence, h.kind, c.url, c.host
                FROM unnest($14::uuid[], $15::int8[], $16::text[], $17::text[]) AS c(task_id, sequence, url, host)
                JOIN history h ON h.task_id = c.task_id AND h.sequence = c.sequence
        """

    private static let end = """

            ) r
        )
        """

    static let ofSubscriptions = insert + subscribers + end
    static let ofSubscriptionsAndCallbacks = insert + subscribers + callbacks + end
}

extension PostgresBindings {
    /// Four arrays: task_id, sequence, url, host.
    mutating func callbacks(_ callbacks: [TaskCallback]) {
        uuids(callbacks.map { $0.task.uuid })
        ints(callbacks.map(\.sequence))
        texts(callbacks.map { $0.url.description })
        texts(callbacks.map { $0.url.authority })
    }
}
