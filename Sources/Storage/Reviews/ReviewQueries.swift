internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Decisions that the bus has not confirmed, a while after they were made: whoever made them may be gone.
struct UnpublishedReviews: PostgresStatement {
    let olderThanSeconds: Double
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + """
             FROM peer_review_sessions s
            WHERE s.decided_at IS NOT NULL AND s.decision_published_at IS NULL AND s.status <> 'canceled'
                AND s.decided_at <= clock_timestamp() - $1
            ORDER BY s.decided_at LIMIT $2
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.interval(seconds: olderThanSeconds)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// Notes that the bus has decisions; answers those that nobody had noted. In the order of their ids, as `LockReviews`
/// locks them.
struct MarkReviewsPublished: PostgresStatement {
    let ids: [ReviewID]

    static let sql = """
        UPDATE peer_review_sessions SET decision_published_at = clock_timestamp()
        WHERE id IN (
            SELECT id FROM peer_review_sessions
            WHERE id = ANY($1::uuid[]) AND decided_at IS NOT NULL AND decision_published_at IS NULL
            ORDER BY id FOR NO KEY UPDATE
        )
        RETURNING id
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewID { ReviewID(try row.uuid(0)) }
}

struct FindReview: PostgresStatement {
    let id: ReviewID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + " FROM peer_review_sessions s WHERE s.id = $1 AND s.tenant_id = $2"

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// Sessions, whoever's they are.
struct FindReviews: PostgresStatement {
    let ids: [ReviewID]

    static let isReadOnly = true
    static let sql = "SELECT " + ReviewRow.columns + " FROM peer_review_sessions s WHERE s.id = ANY($1::uuid[])"

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// A page of a tenant's sessions, newest first.
struct ListReviews: PostgresStatement {
    let filter: ReviewFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + """
             FROM peer_review_sessions s
            WHERE s.tenant_id = $1 AND ($2::text IS NULL OR s.status = $2) AND ($3::uuid IS NULL OR s.id < $3)
            ORDER BY s.id DESC LIMIT $4
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.tenant.text)
        bindings.text(filter.status?.rawValue)
        bindings.uuid(filter.before?.uuid)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// The rounds of one task's review, in their order.
struct ListReviewsOfTask: PostgresStatement {
    let task: TaskID
    let tenant: TenantID
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + """
             FROM peer_review_sessions s WHERE s.tenant_id = $1 AND s.task_id = $2 ORDER BY s.round LIMIT $3
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.uuid(task.uuid)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession { try ReviewRow.read(row) }
}

/// The votes of sessions with their words, in the order they came.
struct ListVotes: PostgresStatement {
    let ids: [ReviewID]

    static let isReadOnly = true
    static let sql = """
        SELECT session_id, reviewer, reviewer_role, vote, reviewer_owner, weight, coalesce(comment, ''),
            coalesce(conditions, '[]'), voted_at
        FROM peer_votes WHERE session_id = ANY($1::uuid[]) ORDER BY session_id, voted_at, reviewer
        """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (session: ReviewID, vote: ReviewVote) {
        let (session, cast) = try ListCastVotes.row(row)
        guard let weight = Weight(try row.decimal(5)) else { throw TaskRow.unreadable("A vote's weight is no number") }
        let opinion = ReviewOpinion(rationale: try row.text(6), concerns: try row.parsedJSON(7))
        let vote = ReviewVote(
            cast: cast, owner: try row.text(4), weight: weight, opinion: opinion, votedAt: try row.timestamp(8))
        return (session, vote)
    }
}

/// Agents by name.
struct FindAgents: PostgresStatement {
    let names: [String]

    static let isReadOnly = true
    static let sql = """
        SELECT id, array_to_string(roles, ','), slots, owner, version, last_seen FROM agents WHERE id = ANY($1::text[])
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(names) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> KnownAgent { try RecentAgents.row(row) }
}
