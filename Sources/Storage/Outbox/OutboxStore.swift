internal import Contracts
internal import FoundationEssentials
package import Postgres

/// Messages that are committed but, as far as is known, not yet published.
package final class OutboxStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Forgets messages that the bus has acknowledged.
    package func forget(_ messageIDs: [String]) async throws { try await pool.execute(DeleteOutbox(ids: messageIDs)) }

    /// The oldest messages that have waited longer than `age`, for the relay.
    package func overdue(age: Duration, limit: Int) async throws -> [OutboxMessage] {
        try await pool.execute(OverdueOutbox(ageSeconds: Double(age.components.seconds), limit: limit))
    }

    /// How long the oldest message has waited; zero when none does.
    package func oldestAge() async throws -> Duration { try await pool.execute(OldestOutbox()).first ?? .zero }

    /// Puts messages back that a wiped bus has lost; those still waiting are left alone.
    package func refill(from work: [OutboxMessage]) async throws {
        _ = try await pool.execute(AppendEffects(events: [], outbox: work, callbacks: []))
    }
}

/// Commits without waiting for the disk: what a crash brings back is published again under the same id, and its readers
/// know it.
struct DeleteOutbox: PostgresStatement {
    let ids: [String]

    static let planning = PostgresPlanning.once
    static let sql = """
        WITH hurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        DELETE FROM outbox USING hurried WHERE message_id = ANY($1::text[])
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(ids) }
}

struct OverdueOutbox: PostgresStatement {
    let ageSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT message_id, subject, payload, tenant_id, task_id, traceparent FROM outbox
        WHERE created_at < clock_timestamp() - make_interval(secs => $1) ORDER BY created_at LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> OutboxMessage {
        OutboxMessage(
            messageID: try row.text(0), subject: try row.text(1), payload: try row.parsedJSON(2),
            tenant: try row.name(3), task: TaskID(try row.uuid(4)), traceparent: try row.textOrNil(5)
        )
    }
}

struct OldestOutbox: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM outbox"

    func bind(to bindings: inout PostgresBindings) {}

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Duration {
        .seconds(max(0, try row.doubleOrNil(0) ?? 0))
    }
}
