package import Contracts
internal import FoundationEssentials
internal import Postgres

/// An open session whose empty seats were offered a while ago.
package struct QuietReview: Sendable {
    package let session: ReviewSession
    /// How often its empty seats were offered, from 1.
    package let offers: Int
    /// Since the last offer.
    package let ageSeconds: Double
    package let voted: Set<AgentRole>
}

struct QuietReviews: PostgresStatement {
    let ageSeconds: Double
    let after: ReviewID?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReviewRow.columns + """
            , s.offers, extract(epoch FROM clock_timestamp() - coalesce(s.offered_at, s.opened_at))::float8,
            array_to_string(ARRAY(SELECT v.reviewer_role FROM peer_votes v WHERE v.session_id = s.id), ',')
            FROM peer_review_sessions s
            WHERE s.status = 'open' AND s.deadline > clock_timestamp() AND ($2::uuid IS NULL OR s.id > $2)
                AND coalesce(s.offered_at, s.opened_at) < clock_timestamp() - make_interval(secs => $1)
            ORDER BY s.id LIMIT $3
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.double(ageSeconds)
        bindings.uuid(after?.uuid)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> QuietReview {
        QuietReview(
            session: try ReviewRow.read(row), offers: try row.int(ReviewRow.count),
            ageSeconds: try row.double(ReviewRow.count + 1),
            voted: Set(try row.text(ReviewRow.count + 2).split(separator: ",").compactMap { AgentRole(String($0)) })
        )
    }
}

/// Takes the next offer of a session's empty seats upon oneself; no row when another replica has.
struct ClaimOffer: PostgresStatement {
    let session: ReviewID
    let offers: Int

    static let sql = """
        UPDATE peer_review_sessions SET offers = offers + 1, offered_at = clock_timestamp()
        WHERE id = $1 AND offers = $2 AND status = 'open' RETURNING 1
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(session.uuid)
        bindings.int32(Int32(clamping: offers))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Notes that a session's empty seats are offered because somebody asked for it; no row when they were offered after
/// the asking.
struct OfferAsAsked: PostgresStatement {
    let session: ReviewID
    let askedAt: Date

    static let sql = """
        UPDATE peer_review_sessions SET offers = offers + 1, offered_at = clock_timestamp()
        WHERE id = $1 AND status = 'open' AND coalesce(offered_at, opened_at) < $2 RETURNING 1
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(session.uuid)
        bindings.timestamp(askedAt)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
