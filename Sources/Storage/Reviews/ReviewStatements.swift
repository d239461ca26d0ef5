internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Opens sessions, their deadlines by the database's clock. No row: a session's id or its task's round is taken.
struct OpenReviews: PostgresStatement {
    let sessions: [ReviewSession]

    static let sql =
        """
        INSERT INTO peer_review_sessions AS s (
            id, tenant_id, task_id, attempt, round, author_agent, author_owner, artifact_sha256, quorum, reviewers,
            weight_total, traceparent, opened_at, deadline
        )
        SELECT v.id, tenant, task, attempt::int, round::int, author, owner, artifact, quorum::numeric, reviewers,
            total::numeric, traceparent, t.now, t.now + make_interval(secs => seconds)
        FROM (SELECT clock_timestamp() AS now) t, unnest(
            $1::uuid[], $2::text[], $3::uuid[], $4::int8[], $5::int8[], $6::text[], $7::text[], $8::bytea[],
            $9::text[], $10::json[], $11::text[], $12::text[], $13::float8[]
        ) AS v(
            id, tenant, task, attempt, round, author, owner, artifact, quorum, reviewers, total, traceparent, seconds
        )
        ON CONFLICT DO NOTHING
        """ + " RETURNING " + ReviewRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(sessions.map(\.id.uuid))
        bindings.texts(sessions.map(\.tenant.text))
        bindings.uuids(sessions.map(\.task.uuid))
        bindings.ints(sessions.map(\.attempt))
        bindings.ints(sessions.map(\.round))
        bindings.texts(sessions.map(\.author))
        bindings.texts(sessions.map(\.authorOwner))
        bindings.bytesArray(sessions.map(\.artifact.bytes))
        bindings.texts(sessions.map(\.terms.quorum.description))
        bindings.jsons(sessions.map { Array(ReviewRow.reviewers($0).bytes) })
        bindings.texts(sessions.map(\.terms.total.description))
        bindings.texts(sessions.map(\.traceparent))
        bindings.doubles(sessions.map { $0.deadline.timeIntervalSince($0.openedAt) })
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// The session that stands in another's way: of the same id first, then of the same round.
struct FindRivalReview: PostgresStatement {
    let session: ReviewSession

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + """
             FROM peer_review_sessions s WHERE s.id = $1 OR (s.task_id = $2 AND s.round = $3)
            ORDER BY s.id = $1 DESC LIMIT 1
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(session.id.uuid)
        bindings.uuid(session.task.uuid)
        bindings.int32(Int32(clamping: session.round))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// A session in a transaction that holds its row, and whether its deadline has passed by the database's clock.
struct LockedReview: Sendable {
    var session: ReviewSession
    let isDue: Bool
    var votes: [CastVote] = []
}

/// Locks sessions for votes, in the order of their ids so that two batches never wait for each other in a circle.
struct LockReviews: PostgresStatement {
    let ids: [ReviewID]

    static let sql =
        "SELECT " + ReviewRow.columns + """
            , s.deadline <= clock_timestamp() FROM peer_review_sessions s WHERE s.id = ANY($1::uuid[])
            ORDER BY s.id FOR NO KEY UPDATE
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LockedReview {
        LockedReview(session: try ReviewRow.read(row), isDue: try row.bool(ReviewRow.count))
    }
}

/// Takes open sessions whose deadline has passed; those that somebody votes in at this moment are left to them.
struct TakeDueReviews: PostgresStatement {
    let limit: Int

    static let sql =
        "SELECT " + ReviewRow.columns + """
             FROM peer_review_sessions s WHERE s.status = 'open' AND s.deadline <= clock_timestamp()
            ORDER BY s.deadline LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
            """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LockedReview {
        LockedReview(session: try ReviewRow.read(row), isDue: true)
    }
}

/// What was voted in sessions, without the words.
struct ListCastVotes: PostgresStatement {
    let ids: [ReviewID]

    static let isReadOnly = true
    static let sql = """
        SELECT session_id, reviewer, reviewer_role, vote FROM peer_votes WHERE session_id = ANY($1::uuid[])
        ORDER BY session_id, voted_at, reviewer
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (session: ReviewID, vote: CastVote) {
        let vote = CastVote(reviewer: try row.text(1), role: try row.name(2), choice: try row.voteChoice(3))
        return (ReviewID(try row.uuid(0)), vote)
    }
}

/// A vote that was checked against its locked session.
struct CountedVote: Sendable {
    let session: ReviewSession
    let cast: CastVote
    let owner: String
    let body: VoteBody
    let messageID: String?
}

struct InsertVotes: PostgresStatement {
    let votes: [CountedVote]

    static let sql = """
        INSERT INTO peer_votes (
            session_id, reviewer, reviewer_owner, reviewer_role, vote, weight, artifact_sha256, comment, conditions,
            message_id
        )
        SELECT session_id, reviewer, owner, role, vote, weight::numeric, artifact, comment, conditions, message_id
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::json[],
            $10::text[]
        ) AS v(session_id, reviewer, owner, role, vote, weight, artifact, comment, conditions, message_id)
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(votes.map(\.session.id.uuid))
        bindings.texts(votes.map(\.cast.reviewer))
        bindings.texts(votes.map(\.owner))
        bindings.texts(votes.map(\.cast.role.text))
        bindings.texts(votes.map(\.cast.choice.rawValue))
        bindings.texts(votes.map { $0.session.terms.weight(of: $0.cast.role)?.description })
        bindings.bytesArray(votes.map(\.session.artifact.bytes))
        bindings.texts(votes.map(\.body.opinion.rationale))
        bindings.jsons(votes.map { Array($0.body.opinion.concerns.bytes) })
        bindings.texts(votes.map(\.messageID))
    }
}

/// Keeps what the reviewers of open sessions have used so far.
struct KeepReviewUsage: PostgresStatement {
    let sessions: [ReviewSession]

    static let sql = """
        UPDATE peer_review_sessions s SET reported_usage = u.reported_usage
        FROM unnest($1::uuid[], $2::json[]) AS u(id, reported_usage)
        WHERE s.id = u.id AND s.status = 'open'
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(sessions.map(\.id.uuid))
        bindings.jsons(sessions.map { Array($0.usage.json.bytes) })
    }
}

/// Writes decisions; each must still be open. Answers when that was.
struct DecideReviews: PostgresStatement {
    let decisions: [(id: ReviewID, outcome: ReviewOutcome)]

    static let sql = """
        UPDATE peer_review_sessions s SET
            status = d.status, score = d.score::numeric, explanation = d.explanation, decided_at = clock_timestamp()
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[]) AS d(id, status, score, explanation)
        WHERE s.id = d.id AND s.status = 'open'
        RETURNING s.id, s.decided_at
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(decisions.map(\.id.uuid))
        bindings.texts(decisions.map(\.outcome.status.rawValue))
        bindings.texts(decisions.map(\.outcome.score))
        bindings.jsons(decisions.map { Array($0.outcome.explanation.bytes) })
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: ReviewID, at: Date) {
        (ReviewID(try row.uuid(0)), try row.timestamp(1))
    }
}

/// Closes sessions that nobody waits for; answers those that were open. Locked in order, as for votes.
struct CancelReviews: PostgresStatement {
    let ids: [ReviewID]

    static let sql =
        """
        WITH open AS MATERIALIZED (
            SELECT id FROM peer_review_sessions WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE peer_review_sessions s SET status = 'canceled', decided_at = clock_timestamp()
        FROM open WHERE s.id = open.id AND s.status = 'open'
        """ + " RETURNING " + ReviewRow.columns

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

extension PostgresRow {
    borrowing func voteChoice(_ column: Int) throws(PostgresError) -> VoteChoice {
        let text = try text(column)
        guard let choice = VoteChoice(rawValue: text) else { throw TaskRow.unreadable("peer_votes.vote is \(text)") }
        return choice
    }
}
