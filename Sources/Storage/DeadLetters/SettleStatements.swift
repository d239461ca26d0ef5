internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// For this transaction: letters are found by their ids and read in their order by an index, however few or many there
/// are in all. The planner, which knows little of tables that just filled, would rather read and sort everything for
/// each batch.
struct FindByIndex: PostgresStatement {
    static let sql = """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
            set_config('enable_sort', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
        """

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Writes down that a replay has settled letters: as little as can be for each, for there are many. Nothing of it
/// stands in an index, and the last entry of their history is read out of these columns by `LetterRow.history`. They
/// are found by when they were filed, too, which never changes: those of one batch lie side by side in that index.
struct SettleReplayed: PostgresStatement {
    /// Those that settle.
    let fates: [LetterFate]
    let by: String
    let replay: ReplayID

    static let sql = """
        UPDATE dlq_messages m SET
            replay_count = m.replay_count + (f.outcome = 'replayed')::int,
            replayed_at = CASE WHEN f.outcome = 'replayed' THEN clock_timestamp() ELSE m.replayed_at END,
            resolved = true, resolved_at = clock_timestamp(), resolved_by = $4, resolution_notes = f.outcome,
            replay_id = $5
        FROM unnest($1::timestamptz[], $2::uuid[], $3::text[]) AS f(created_at, id, outcome)
        WHERE m.created_at = f.created_at AND m.id = f.id AND NOT m.resolved
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.timestamps(fates.count) { fates[$0].createdAt }
        bindings.uuids(fates.count) { fates[$0].id.uuid }
        bindings.texts(fates.count) { fates[$0].outcome.rawValue }
        bindings.text(by)
        bindings.uuid(replay.uuid)
    }
}

/// Writes down what became of letters. What is settled by that is resolved; the others stay for somebody to look at.
struct SettleLetters: PostgresStatement {
    let fates: [LetterFate]
    let by: String
    let replay: ReplayID?

    static let sql = """
        UPDATE dlq_messages m SET
            replay_count = m.replay_count + (f.outcome = 'replayed')::int,
            replayed_at = CASE WHEN f.outcome = 'replayed' THEN clock_timestamp() ELSE m.replayed_at END,
            resolved = f.settles, resolved_at = CASE WHEN f.settles THEN clock_timestamp() END,
            resolved_by = CASE WHEN f.settles THEN $5 END,
            resolution_notes = CASE WHEN f.settles THEN f.outcome END,
            history = m.history || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
                'at', clock_timestamp(), 'what', f.outcome, 'by', $5::text, 'message_id', f.message_id,
                'replay_id', $6::uuid
            )))
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[]) AS f(id, outcome, message_id, settles)
        WHERE m.id = f.id AND NOT m.resolved
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(fates.map(\.id.uuid))
        bindings.texts(fates.map(\.outcome.rawValue))
        bindings.texts(fates.map(\.messageID))
        bindings.bools(fates.map(\.outcome.settles))
        bindings.text(by)
        bindings.uuid(replay?.uuid)
    }
}

extension LetterOutcome {
    /// Whether nothing is left to be done about the letter.
    var settles: Bool {
        switch self {
        case .replayed, .taskEnded, .superseded: true
        case .unknownTask, .notDeliverable: false
        }
    }
}
