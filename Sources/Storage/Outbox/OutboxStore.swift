internal import Contracts
package import FoundationEssentials
package import Postgres

/// A message that waits to be published, and since when.
package struct WaitingMessage: Sendable {
    package let message: OutboxMessage
    package let createdAt: Date
}

/// Messages that are committed but, as far as is known, not yet published.
package final class OutboxStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Forgets messages that the bus has acknowledged.
    package func forget(_ messageIDs: [String]) async throws { try await pool.execute(DeleteOutbox(ids: messageIDs)) }

    /// The oldest messages that have waited longer than `age`, after the given one, for the relay: at most `limit`, and
    /// none after those whose payloads have reached `bytesMax`.
    package func overdue(
        age: Duration, after last: WaitingMessage?, limit: Int, bytesMax: Int
    ) async throws -> [WaitingMessage] {
        try await pool.execute(
            OverdueOutbox(
                ageSeconds: Double(age.components.seconds), lastCreatedAt: last?.createdAt ?? .distantPast,
                lastMessageID: last?.message.messageID ?? "", limit: limit, bytesMax: bytesMax))
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
    let lastCreatedAt: Date
    let lastMessageID: String
    let limit: Int
    let bytesMax: Int

    static let isReadOnly = true
    static let sql = """
        SELECT message_id, subject, payload, tenant_id, task_id, traceparent, created_at FROM (
            SELECT *, sum(octet_length(payload::text)) OVER earlier AS bytes_before FROM (
                SELECT * FROM outbox
                WHERE created_at < clock_timestamp() - make_interval(secs => $1)
                    AND (created_at, message_id) > ($2, $3)
                ORDER BY created_at, message_id LIMIT $4
            ) page
            WINDOW earlier AS (
                ORDER BY created_at, message_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
        ) sized
        WHERE coalesce(bytes_before, 0) < $5 ORDER BY created_at, message_id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.timestamp(lastCreatedAt)
        bindings.text(lastMessageID)
        bindings.int(limit)
        bindings.int(bytesMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> WaitingMessage {
        WaitingMessage(
            message: OutboxMessage(
                messageID: try row.text(0), subject: try row.text(1), payload: try row.parsedJSON(2),
                tenant: try row.name(3), task: TaskID(try row.uuid(4)), traceparent: try row.textOrNil(5)),
            createdAt: try row.timestamp(6)
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
