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
            (SELECT count(*) FROM
        """ + " " + LetterRow.unresolved + " WHERE " + LetterMatch.condition + ") RETURNING " + ReplayRow.columns

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
    static let sql = "SELECT count(*) FROM " + LetterRow.unresolved + " WHERE " + LetterMatch.condition

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

/// Takes the replay that has waited longest, with a lease; of a tenant that has many in workers' hands none more.
struct ClaimReplay: PostgresStatement {
    let leaseSeconds: Double
    let tenantMax: Int

    static let sql =
        """
        UPDATE dlq_replays r SET fence = r.fence + 1, leased_until = clock_timestamp() + $1
        WHERE r.id = (
            SELECT q.id FROM dlq_replays q
            WHERE q.state = 'running' AND (q.leased_until IS NULL OR q.leased_until < clock_timestamp())
                AND (
                    SELECT count(*) FROM dlq_replays o
                    WHERE o.state = 'running' AND o.tenant_id = q.tenant_id AND o.leased_until >= clock_timestamp()
                ) < $2
            ORDER BY q.created_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING
        """ + " " + ReplayRow.columns + ", r.fence, r.after_created_at, r.after_id"

    func bind(to bindings: inout PostgresBindings) {
        bindings.interval(seconds: leaseSeconds)
        bindings.int(tenantMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ClaimedReplay {
        var place: ReplayPlace?
        if let at = try row.timestampOrNil(ReplayRow.count + 1), let id = try row.uuidOrNil(ReplayRow.count + 2) {
            place = ReplayPlace(createdAt: at, id: DeadLetterID(id))
        }
        return ClaimedReplay(replay: try ReplayRow.read(row), fence: try row.int(ReplayRow.count), place: place)
    }
}

/// The next letters of a replay, in the order they were filed, each with how much of the batch it makes full. Where to
/// begin is a plain bound, so that the index goes there instead of past all that was replayed before. `OFFSET 0` has
/// each letter looked up by itself, in that order, however few the filter seems to leave: a batch ends when it is full.
/// Looked up by when it was filed, a letter lies beside the one before, in the index and in the table.
struct NextLetters: PostgresStatement {
    let replay: Replay
    let place: ReplayPlace?
    let limit: Int
    /// The letter that goes beyond it is the batch's last.
    let bytesMax: Int

    static let isReadOnly = true
    static let sql =
        """
        SELECT l.id, l.created_at, l.original_subject, l.data, l.data_encoding, l.headers, l.task_id, l.replay_count,
            l.bytes
        FROM (
            SELECT u.letter_id AS id, u.created_at, m.original_subject, m.data, m.data_encoding, m.headers, m.task_id,
                m.replay_count, sum(octet_length(m.data)) OVER (
                    ORDER BY u.created_at, u.letter_id ROWS UNBOUNDED PRECEDING
                ) AS bytes
            FROM dlq_unresolved u
            CROSS JOIN LATERAL (
                SELECT d.* FROM dlq_messages d WHERE d.created_at = u.created_at AND d.id = u.letter_id OFFSET 0
            ) m
            WHERE u.created_at <= (SELECT created_at FROM dlq_replays WHERE id = $10)
                AND (u.created_at, u.letter_id) > (
                    COALESCE($11, '-infinity'::timestamptz), COALESCE($12, '00000000-0000-0000-0000-000000000000'::uuid)
                ) AND
        """ + " " + LetterMatch.condition + """
             ORDER BY u.created_at, u.letter_id LIMIT $13
            ) l WHERE l.bytes - octet_length(l.data) < $14 ORDER BY l.created_at, l.id
            """

    func bind(to bindings: inout PostgresBindings) {
        LetterMatch.bind(replay.filter, tenant: replay.tenant, to: &bindings)
        bindings.uuid(replay.id.uuid)
        bindings.timestamp(place?.createdAt)
        bindings.uuid(place?.id.uuid)
        bindings.int(limit)
        bindings.int(bytesMax)
    }

    static func row(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (letter: LetterInHand, batchBytes: Int) {
        (try LetterInHand(row), try row.int(8))
    }
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

/// Settles the letters of a batch and notes how far the replay has come.
///
/// Each letter is written as little as can be, for there are many: nothing of it stands in an index, and the last entry
/// of its history is read out of these columns by `LetterRow.history`. Letters are found by when they were filed, too,
/// which never changes: those of one batch lie side by side in that index.
///
/// A letter counts for the replay that settles it, and once: a worker that has lost the replay still adds what it was
/// the first to settle, and moves nothing else. No row when it settled nothing, either.
struct AdvanceReplay: PostgresStatement {
    let claim: ClaimedReplay
    let last: LetterInHand?
    /// Those that settle.
    let settled: [LetterFate]
    /// How many do not.
    let open: Int
    let isDone: Bool
    let leaseSeconds: Double

    static let sql =
        """
        WITH settled AS (
            UPDATE dlq_messages m SET
                replay_count = m.replay_count + (f.outcome = 'replayed')::int,
                replayed_at = CASE WHEN f.outcome = 'replayed' THEN clock_timestamp() ELSE m.replayed_at END,
                resolved = true, resolved_at = clock_timestamp(), resolved_by = $8, resolution_notes = f.outcome,
                replay_id = $1
            FROM unnest($9::timestamptz[], $10::uuid[], $11::text[]) AS f(created_at, id, outcome)
            WHERE m.created_at = f.created_at AND m.id = f.id AND NOT m.resolved
            RETURNING f.outcome
        ), counted AS (
            SELECT count(*) FILTER (WHERE outcome = 'replayed') AS replayed,
                count(*) FILTER (WHERE outcome <> 'replayed') AS skipped
            FROM settled
        ), noted AS (
            SELECT r.id, r.fence = $2 AND r.state <> 'done' AS is_mine FROM dlq_replays r WHERE r.id = $1 FOR UPDATE
        )
        UPDATE dlq_replays r SET
            replayed = r.replayed + c.replayed,
            skipped = r.skipped + c.skipped + CASE WHEN n.is_mine THEN $3 ELSE 0 END,
            after_created_at = CASE WHEN n.is_mine THEN COALESCE($4, r.after_created_at) ELSE r.after_created_at END,
            after_id = CASE WHEN n.is_mine THEN COALESCE($5, r.after_id) ELSE r.after_id END,
            state = CASE WHEN n.is_mine AND $6 THEN 'done' ELSE r.state END,
            ended_at = CASE WHEN n.is_mine AND $6 THEN clock_timestamp() ELSE r.ended_at END,
            leased_until = CASE WHEN n.is_mine THEN clock_timestamp() + $7 ELSE r.leased_until END,
            version = r.version + 1, updated_at = clock_timestamp()
        FROM noted n, counted c
        WHERE r.id = n.id AND (n.is_mine OR c.replayed + c.skipped > 0)
        RETURNING
        """ + " " + ReplayRow.columns + ", n.is_mine"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(claim.replay.id.uuid)
        bindings.int32(Int32(clamping: claim.fence))
        bindings.int(open)
        bindings.timestamp(last?.createdAt)
        bindings.uuid(last?.id.uuid)
        bindings.bool(isDone)
        bindings.interval(seconds: leaseSeconds)
        bindings.text(claim.replay.requestedBy)
        bindings.timestamps(settled.count) { settled[$0].createdAt }
        bindings.uuids(settled.count) { settled[$0].id.uuid }
        bindings.texts(settled.count) { settled[$0].outcome.rawValue }
    }

    /// Nil for a worker that has lost it.
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Replay? {
        try row.bool(ReplayRow.count) ? try ReplayRow.read(row) : nil
    }
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
            SELECT q.id FROM dlq_unresolved u JOIN dlq_messages q ON q.id = u.letter_id
            WHERE u.created_at < clock_timestamp() - $3 AND NOT q.resolved AND q.answered_at IS NULL
                AND q.replay_count = 0 AND q.reason = ANY($1::text[]) AND q.subject_family LIKE ANY($2::text[])
            ORDER BY u.created_at, u.letter_id LIMIT $4 FOR UPDATE OF q SKIP LOCKED
        )
        RETURNING m.id, m.created_at, m.original_subject, m.data, m.data_encoding, m.headers, m.task_id,
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
