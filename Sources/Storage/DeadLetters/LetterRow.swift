internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads a `dlq_messages` row selected with `LetterRow.columns`.
enum LetterRow {
    /// In the order `read` expects; the table's alias is `m`.
    static let columns = """
        m.id, m.original_subject, m.subject_family, m.cause, m.reason, m.error, m.error_count, m.tenant_id, m.task_id, \
        m.stream, m.stream_sequence, m.consumer, m.first_seen, m.created_at, m.replay_count, m.replayed_at, \
        m.resolved_at, m.resolved_by, m.resolution_notes
        """
    /// The first column after `columns`.
    static let count: Int = 19
    /// The letters that nobody has settled; few beside those that were, so they are what a search begins with.
    static let unresolved = "dlq_unresolved u JOIN dlq_messages m ON m.id = u.letter_id"
    /// A letter's whole story. When a replay settled it, the last entry is read out of its columns: `AdvanceReplay`.
    static let history = """
        CASE WHEN m.replay_id IS NULL THEN m.history ELSE m.history || jsonb_build_array(jsonb_strip_nulls(
            jsonb_build_object(
                'at', m.resolved_at, 'what', m.resolution_notes, 'by', m.resolved_by, 'message_id',
                CASE WHEN m.resolution_notes = 'replayed' THEN 'replay:' || m.id || ':' || m.replay_count END,
                'replay_id', m.replay_id
            )
        )) END
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetter {
        var resolution: DeadLetter.Resolution?
        if let at = try row.timestampOrNil(16) {
            resolution = DeadLetter.Resolution(at: at, by: try row.textOrNil(17), notes: try row.textOrNil(18))
        }
        return DeadLetter(
            id: DeadLetterID(try row.uuid(0)), originalSubject: try row.text(1), family: try row.text(2),
            cause: try row.text(3), reason: try row.text(4), error: try row.textOrNil(5), errorCount: try row.int(6),
            tenant: try row.textOrNil(7).flatMap { TenantID($0) }, task: try row.uuidOrNil(8).map { TaskID($0) },
            stream: try row.textOrNil(9), streamSequence: try row.intOrNil(10), consumer: try row.textOrNil(11),
            firstSeen: try row.timestampOrNil(12), createdAt: try row.timestamp(13), replayCount: try row.int(14),
            replayedAt: try row.timestampOrNil(15), resolution: resolution
        )
    }

    /// The bytes in `data` and `data_encoding`, which stand side by side.
    static func payload(_ row: borrowing PostgresRow, _ column: Int) throws(PostgresError) -> [UInt8] {
        guard let bytes = LetterBytes.bytes(try row.textBytes(column), encoding: try row.text(column + 1)) else {
            throw TaskRow.unreadable("dlq_messages.data is not in its encoding")
        }
        return bytes
    }
}
