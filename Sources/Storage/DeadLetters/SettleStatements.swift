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
