internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads a `dlq_replays` row selected with `ReplayRow.columns`.
enum ReplayRow {
    static let columns = """
        r.id, r.tenant_id, r.filter, r.payload, r.state, r.rate, r.requested_by, r.note, r.created_at, r.total, \
        r.replayed, r.skipped, r.version, r.updated_at, r.ended_at
        """
    static let count: Int = 15

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay {
        let state = try row.text(4)
        guard let state = ReplayState(rawValue: state) else {
            throw TaskRow.unreadable("dlq_replays.state is \(state)")
        }
        return Replay(
            id: ReplayID(try row.uuid(0)), tenant: try row.name(1), filter: try filter(row),
            payload: try row.textOrNil(3), state: state, rate: try row.int(5), requestedBy: try row.text(6),
            note: try row.textOrNil(7),
            createdAt: try row.timestamp(8), total: try row.int(9), replayed: try row.int(10),
            skipped: try row.int(11), version: try row.int(12), updatedAt: try row.timestamp(13),
            endedAt: try row.timestampOrNil(14)
        )
    }

    private static func filter(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetterFilter {
        let json = try row.parsedJSON(2)
        do {
            var reader = try JSONReader(json)
            return try DeadLetterFilter(from: &reader)
        } catch {
            throw TaskRow.unreadable("dlq_replays.filter: \(error)")
        }
    }
}

/// Begins a replay of the letters that are meant at this moment.
struct BeginReplay: PostgresStatement {
    let request: ReplayRequest

    static let sql =
        """
        INSERT INTO dlq_replays AS r (
            id, tenant_id, filter, payload, rate, requested_by, note, created_at, updated_at, total
        )
        SELECT $10, $1, $11, $12, $13, $14, $15, clock_timestamp(), clock_timestamp(),
            (SELECT count(*) FROM dlq_messages m WHERE NOT m.resolved AND
        """ + " " + LetterMatch.condition + ") RETURNING " + ReplayRow.columns

    func bind(to bindings: inout PostgresBindings) {
        LetterMatch.bind(request.filter, tenant: request.tenant, to: &bindings)
        bindings.uuid(request.id.uuid)
        bindings.json(Array(JSONWriter.object { request.filter.write(to: &$0) }.bytes))
        bindings.text(request.payload)
        bindings.int32(Int32(clamping: request.rate))
        bindings.text(request.requestedBy)
        bindings.text(request.note)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay { try ReplayRow.read(row) }
}

/// How many unresolved letters a filter finds.
struct CountMatches: PostgresStatement {
    let filter: DeadLetterFilter
    let tenant: TenantID

    static let isReadOnly = true
    static let sql =
        "SELECT count(*) FROM dlq_messages m WHERE NOT m.resolved AND " + LetterMatch.condition

    func bind(to bindings: inout PostgresBindings) { LetterMatch.bind(filter, tenant: tenant, to: &bindings) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

struct FindReplay: PostgresStatement {
    let id: ReplayID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql = "SELECT " + ReplayRow.columns + " FROM dlq_replays r WHERE r.id = $1 AND r.tenant_id = $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay { try ReplayRow.read(row) }
}

/// A tenant's replays, the newest first.
struct ListReplays: PostgresStatement {
    let tenant: TenantID
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReplayRow.columns + """
             FROM dlq_replays r WHERE r.tenant_id = $1 ORDER BY r.created_at DESC LIMIT $2
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay { try ReplayRow.read(row) }
}

/// Stops a replay or lets it go on; no row when it is not in the state `from`.
struct TurnReplay: PostgresStatement {
    let id: ReplayID
    let tenant: TenantID
    let from: ReplayState
    let to: ReplayState

    static let sql =
        """
        UPDATE dlq_replays r SET
            state = $4, version = r.version + 1, updated_at = clock_timestamp(), leased_until = NULL
        WHERE r.id = $1 AND r.tenant_id = $2 AND r.state = $3 RETURNING
        """ + " " + ReplayRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
        bindings.text(from.rawValue)
        bindings.text(to.rawValue)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay { try ReplayRow.read(row) }
}

/// A replay in the hands of one worker, until its lease ends.
package struct ClaimedReplay: Sendable {
    package let replay: Replay
    /// Fences the worker: one that lost its lease writes no more.
    package var fence: Int
    /// The last letter that was looked at; nil at the beginning.
    package let place: ReplayPlace?
}

/// Behind which letter a replay goes on.
package struct ReplayPlace: Sendable {
    let createdAt: Date
    let id: DeadLetterID

    package init(_ letter: LetterInHand) {
        self.init(createdAt: letter.createdAt, id: letter.id)
    }

    init(createdAt: Date, id: DeadLetterID) {
        self.createdAt = createdAt
        self.id = id
    }
}

/// Takes the replay that has waited longest, with a lease.
struct ClaimReplay: PostgresStatement {
    let leaseSeconds: Double

    static let sql =
        """
        UPDATE dlq_replays r SET fence = r.fence + 1, leased_until = clock_timestamp() + $1
        WHERE r.id = (
            SELECT id FROM dlq_replays
            WHERE state = 'running' AND (leased_until IS NULL OR leased_until < clock_timestamp())
            ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING
        """ + " " + ReplayRow.columns + ", r.fence, r.after_created_at, r.after_id"

    func bind(to bindings: inout PostgresBindings) { bindings.interval(seconds: leaseSeconds) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ClaimedReplay {
        var place: ReplayPlace?
        if let at = try row.timestampOrNil(ReplayRow.count + 1), let id = try row.uuidOrNil(ReplayRow.count + 2) {
            place = ReplayPlace(createdAt: at, id: DeadLetterID(id))
        }
        return ClaimedReplay(replay: try ReplayRow.read(row), fence: try row.int(ReplayRow.count), place: place)
    }
}

/// The next letters of a replay, in the order they were filed. Where to begin is a plain bound, so that the index goes
/// there instead of past all that was replayed before.
struct NextLetters: PostgresStatement {
    let replay: Replay
    let place: ReplayPlace?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        """
        SELECT m.id, m.created_at, m.original_subject, m.data, m.data_encoding, m.headers::json, m.task_id,
            m.replay_count
        FROM dlq_messages m, dlq_replays r
        WHERE r.id = $10 AND NOT m.resolved AND m.created_at <= r.created_at AND (m.created_at, m.id) > (
            COALESCE($11, '-infinity'::timestamptz), COALESCE($12, '00000000-0000-0000-0000-000000000000'::uuid)
        ) AND
        """ + " " + LetterMatch.condition + " ORDER BY m.created_at, m.id LIMIT $13"

    func bind(to bindings: inout PostgresBindings) {
        LetterMatch.bind(replay.filter, tenant: replay.tenant, to: &bindings)
        bindings.uuid(replay.id.uuid)
        bindings.timestamp(place?.createdAt)
        bindings.uuid(place?.id.uuid)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LetterInHand { try LetterInHand(row) }
}

/// What the letters' tasks are doing.
struct FindLetterTasks: PostgresStatement {
    let ids: [TaskID]

    static let isReadOnly = true
    static let sql = "SELECT id, state, attempt, lease_token FROM tasks WHERE id = ANY($1::uuid[])"

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LetterTask {
        let state = try row.text(1)
        guard let state = TaskState(rawValue: state) else { throw TaskRow.unreadable("tasks.state is \(state)") }
        return LetterTask(
            id: TaskID(try row.uuid(0)), state: state, attempt: try row.int(2), leaseToken: try row.textOrNil(3)
        )
    }
}

/// For this transaction: many letters are found by their ids in an index, however few there are in all. The planner
/// would rather read the whole table for each batch.
struct FindByIndex: PostgresStatement {
    static let sql =
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
        + "set_config('enable_mergejoin', 'off', true)"

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

/// Notes how far a replay has come; no row for a worker that has lost it.
struct AdvanceReplay: PostgresStatement {
    let claim: ClaimedReplay
    let last: LetterInHand?
    let replayed: Int
    let skipped: Int
    let isDone: Bool
    let leaseSeconds: Double

    static let sql =
        """
        UPDATE dlq_replays r SET
            replayed = r.replayed + $3, skipped = r.skipped + $4,
            after_created_at = COALESCE($5, r.after_created_at), after_id = COALESCE($6, r.after_id),
            state = CASE WHEN $7 THEN 'done' ELSE r.state END,
            ended_at = CASE WHEN $7 THEN clock_timestamp() END,
            leased_until = clock_timestamp() + $8, version = r.version + 1, updated_at = clock_timestamp()
        WHERE r.id = $1 AND r.fence = $2 AND r.state <> 'done' RETURNING
        """ + " " + ReplayRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(claim.replay.id.uuid)
        bindings.int32(Int32(clamping: claim.fence))
        bindings.int(replayed)
        bindings.int(skipped)
        bindings.timestamp(last?.createdAt)
        bindings.uuid(last?.id.uuid)
        bindings.bool(isDone)
        bindings.interval(seconds: leaseSeconds)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay { try ReplayRow.read(row) }
}

/// Takes letters whose reason a policy may answer by itself, once each.
struct TakeAnswerable: PostgresStatement {
    let reasons: [String]
    /// With `*` for what differs.
    let families: [String]
    let minAgeSeconds: Double
    let limit: Int

    static let sql = """
        UPDATE dlq_messages m SET answered_at = clock_timestamp()
        WHERE m.id IN (
            SELECT id FROM dlq_messages
            WHERE NOT resolved AND answered_at IS NULL AND replay_count = 0 AND reason = ANY($1::text[])
                AND subject_family LIKE ANY($2::text[]) AND created_at < clock_timestamp() - $3
            ORDER BY created_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
        )
        RETURNING m.id, m.created_at, m.original_subject, m.data, m.data_encoding, m.headers::json, m.task_id,
            m.replay_count
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(reasons)
        bindings.texts(families.map { $0.replacing("*", with: "%") })
        bindings.interval(seconds: minAgeSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LetterInHand { try LetterInHand(row) }
}

extension LetterInHand {
    /// Reads the columns that `NextLetters` selects.
    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        self.init(
            id: DeadLetterID(try row.uuid(0)), createdAt: try row.timestamp(1), subject: try row.text(2),
            payload: try LetterRow.payload(row, 3), headers: try row.parsedJSON(5),
            task: try row.uuidOrNil(6).map { TaskID($0) }, replayCount: try row.int(7)
        )
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
