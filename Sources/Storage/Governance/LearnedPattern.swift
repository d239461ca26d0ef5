package import Contracts
package import FoundationEssentials
internal import Postgres

/// Failures of one role that recurred: a row of `learning_patterns`.
package struct LearnedPattern: Sendable, Equatable {
    package enum Status: String, Sendable, CaseIterable {
        /// Watched; nothing was proposed.
        case open
        case proposed
        case dismissed
    }

    /// What was proposed because of it, and where that stands.
    package struct Proposal: Sendable, Equatable {
        package let prompt: PromptID
        package let status: PromptStatus
        package let verdictReason: String
        /// While it is blocked: when the role could next update by itself; nil when that will never be.
        package let nextAutoAt: Date?
    }

    package let id: Int
    package let role: AgentRole
    package let signature: String
    package let classification: String
    package let description: String?
    package let occurrences: Int
    /// A list of objects: the newest of the escalations it was made of.
    package let evidence: JSON
    package let status: Status
    package let proposal: Proposal?
    package let firstSeen: Date
    package let lastSeen: Date
}

/// Which patterns a listing shows, newest first.
package struct PatternFilter: Sendable {
    package var role: AgentRole?
    package var status: LearnedPattern.Status?
    /// Only those older than this one.
    package var before: Int?
    package var limit: Int

    package init(role: AgentRole? = nil, status: LearnedPattern.Status? = nil, before: Int? = nil, limit: Int) {
        self.role = role
        self.status = status
        self.before = before
        self.limit = limit
    }
}

/// A page of patterns, newest first.
struct ListPatterns: PostgresStatement {
    let filter: PatternFilter

    static let isReadOnly = true
    static let sql = """
        SELECT l.id, l.agent_role, l.signature, l.classification, l.description, l.occurrences, l.evidence, l.status,
            l.first_seen, l.last_seen, p.id, p.approval_status, p.decision_reason, v.next_auto_at
        FROM learning_patterns l LEFT JOIN agent_prompts p ON p.id = l.prompt_id
        LEFT JOIN LATERAL prompt_update_verdict(p.agent_role) v ON p.approval_status = 'blocked'
        WHERE ($1::text IS NULL OR l.agent_role = $1) AND ($2::text IS NULL OR l.status = $2)
            AND ($3::int8 IS NULL OR l.id < $3)
        ORDER BY l.id DESC LIMIT $4
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.role?.text)
        bindings.text(filter.status?.rawValue)
        bindings.int(filter.before)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LearnedPattern {
        let status = try row.text(7)
        guard let status = LearnedPattern.Status(rawValue: status) else {
            throw TaskRow.unreadable("A pattern is \(status)")
        }
        return LearnedPattern(
            id: try row.int(0), role: try row.name(1), signature: try row.text(2), classification: try row.text(3),
            description: try row.textOrNil(4), occurrences: try row.int(5), evidence: try row.parsedJSON(6),
            status: status, proposal: try proposal(row), firstSeen: try row.timestamp(8),
            lastSeen: try row.timestamp(9)
        )
    }

    private static func proposal(_ row: borrowing PostgresRow) throws(PostgresError) -> LearnedPattern.Proposal? {
        if try row.isNull(10) { return nil }
        let status = try row.text(11)
        guard let status = PromptStatus(rawValue: status) else { throw TaskRow.unreadable("A prompt is \(status)") }
        return LearnedPattern.Proposal(
            prompt: try PromptRow.id(row, 10), status: status, verdictReason: try row.text(12),
            nextAutoAt: try row.timestampOrNil(13)
        )
    }
}
