internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads a `peer_review_sessions` row selected with `ReviewRow.columns`.
enum ReviewRow {
    /// In the order `read` expects; the table's alias is `s`.
    static let columns = """
        s.id, s.tenant_id, s.task_id, s.attempt, s.round, s.author_agent, s.author_owner, s.artifact_sha256, s.quorum, \
        s.reviewers, s.status, s.score, s.explanation, s.traceparent, s.opened_at, s.deadline, s.decided_at, \
        s.reported_usage
        """
    /// The first column after `columns`.
    static let count: Int = 18

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession {
        guard let artifact = ArtifactHash(bytes: try row.bytes(7)) else {
            throw TaskRow.unreadable("A session's artifact_sha256 has another length")
        }
        let (terms, assignments) = try snapshot(try row.parsedJSON(9), quorum: try row.decimal(8))
        return ReviewSession(
            id: ReviewID(try row.uuid(0)), tenant: try row.name(1), task: TaskID(try row.uuid(2)),
            attempt: try row.int(3), round: try row.int(4), author: try row.text(5), authorOwner: try row.text(6),
            artifact: artifact, terms: terms, assignments: assignments, traceparent: try row.textOrNil(13),
            openedAt: try row.timestamp(14), deadline: try row.timestamp(15), phase: try phase(row),
            usage: try usage(row.parsedJSON(17))
        )
    }

    private static func phase(_ row: borrowing PostgresRow) throws(PostgresError) -> ReviewSession.Phase {
        let text = try row.text(10)
        guard let status = ReviewStatus(rawValue: text) else {
            throw TaskRow.unreadable("peer_review_sessions.status is \(text)")
        }
        switch status {
        case .open: return .open
        case .canceled: return .canceled(at: try row.timestamp(16))
        case .approved, .rejected, .escalated:
            let outcome = ReviewOutcome(
                status: status, score: trimmed(try row.decimal(11)), explanation: try row.parsedJSON(12))
            return .decided(ReviewSession.Decision(outcome: outcome, at: try row.timestamp(16)))
        }
    }

    private static func usage(_ kept: JSON) throws(PostgresError) -> ReviewUsage {
        do throws(JSONError) { return try ReviewUsage(json: kept) } catch {
            throw TaskRow.unreadable("A session's reported_usage is damaged (\(error))")
        }
    }

    /// The server writes all the column's places.
    private static func trimmed(_ decimal: String) -> String {
        FixedPoint.count(decimal, places: 5).map { FixedPoint.text($0, places: 5) } ?? decimal
    }

    /// The reviewers as they are kept: with each one's work item, which no view shows.
    static func reviewers(_ session: ReviewSession) -> JSON {
        JSONWriter.array { writer in
            for seat in session.terms.seats {
                writer.element(object: { writer in
                    writer.field("role", seat.role.text)
                    writer.field("weight", decimal: seat.weight.description)
                    writer.field(ifPresent: "work_id", session.assignments[seat.role]?.work.description)
                    writer.field(ifPresent: "lease_key", session.assignments[seat.role]?.leaseKey)
                })
            }
        }
    }

    private static func snapshot(
        _ reviewers: JSON, quorum: String
    ) throws(PostgresError) -> (ReviewTerms, [AgentRole: ReviewSession.Assignment]) {
        var seats: [ReviewTerms.Seat] = []
        var assignments: [AgentRole: ReviewSession.Assignment] = [:]
        do throws(JSONError) {
            for element in reviewers.array ?? [] {
                var reader = try JSONReader(element)
                let role: AgentRole = try reader.name("role")
                guard let weight = try reader.optionalWeight("weight") else {
                    throw reader.error("weight", "is required")
                }
                seats.append(ReviewTerms.Seat(role: role, weight: weight))
                if let work = try reader.optionalString("work_id").flatMap({ TaskID($0) }),
                    let key = try reader.optionalString("lease_key")
                {
                    assignments[role] = ReviewSession.Assignment(work: work, leaseKey: key)
                }
            }
        } catch {
            throw TaskRow.unreadable("A session's reviewers are damaged (\(error))")
        }
        guard let quorum = Weight(quorum), let terms = ReviewTerms(seats: seats, quorum: quorum) else {
            throw TaskRow.unreadable("A session's reviewers and quorum do not belong together")
        }
        return (terms, assignments)
    }
}
