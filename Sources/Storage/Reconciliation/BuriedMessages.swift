package import Contracts
internal import FoundationEssentials
internal import Postgres

/// A dead letter about a task that somebody is thought to work on.
package struct BuriedLetter: Sendable {
    package let id: DeadLetterID
    package let task: TaskID
    package let subject: String
    package let reason: String
    package let payload: [UInt8]
}

extension ReconciliationStore {
    /// Unresolved letters of the last hour that are work or results of running tasks, after the given id; none of a
    /// task that was escalated for one before.
    ///
    /// What cannot be read stays so. Anything else is given two minutes, in which it may be sent again and the task go
    /// on: the dlq-worker's policy does that after one.
    package func buried(after: DeadLetterID?, limit: Int) async throws -> [BuriedLetter] {
        try await pool.execute(BuriedLetters(after: after, limit: limit))
    }
}

struct BuriedLetters: PostgresStatement {
    let after: DeadLetterID?
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT m.id, m.task_id, m.original_subject, m.reason, m.data, m.data_encoding
        FROM dlq_messages m JOIN tasks t ON t.id = m.task_id
        WHERE NOT m.resolved AND m.created_at > clock_timestamp() - interval '1 hour'
            AND (m.reason = 'undecodable' OR m.created_at < clock_timestamp() - interval '2 minutes')
            AND (starts_with(m.original_subject, 'work.') OR starts_with(m.original_subject, 'results.'))
            AND t.state IN ('developing', 'deploying') AND ($1::uuid IS NULL OR m.id > $1)
            AND NOT EXISTS (SELECT FROM escalations e WHERE e.task_id = m.task_id AND e.source = 'dead_letter')
        ORDER BY m.id LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(after?.uuid)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BuriedLetter {
        BuriedLetter(
            id: DeadLetterID(try row.uuid(0)), task: TaskID(try row.uuid(1)), subject: try row.text(2),
            reason: try row.text(3), payload: try LetterRow.payload(row, 4)
        )
    }
}
