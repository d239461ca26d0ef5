internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// How a row of `agent_prompts`, aliased `p`, is read.
enum PromptRow {
    static let columns = """
        p.id, p.agent_role, p.version, p.base_version, p.approval_status, p.decision_reason, p.reason, p.proposed_by,
        p.proposed_at, p.reviewed_by, p.review_notes, p.reviewed_at, encode(p.content_sha256, 'hex'),
        octet_length(p.content), EXISTS (SELECT FROM learning_governance a WHERE a.active_prompt_id = p.id)
        """
    /// The first column after `columns`.
    static let count = 15

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> Prompt {
        let status = try row.text(4)
        guard let status = PromptStatus(rawValue: status) else { throw TaskRow.unreadable("A prompt is \(status)") }
        return Prompt(
            id: try id(row, 0), role: try row.name(1), version: try row.int(2), baseVersion: try row.int(3),
            status: status, verdictReason: try row.text(5), reason: try row.textOrNil(6), proposedBy: try row.text(7),
            proposedAt: try row.timestamp(8), reviewedBy: try row.textOrNil(9), reviewNotes: try row.textOrNil(10),
            reviewedAt: try row.timestampOrNil(11), sha256: try row.text(12), sizeBytes: try row.int(13),
            isActive: try row.bool(14)
        )
    }

    static func id(_ row: borrowing PostgresRow, _ column: Int) throws(PostgresError) -> PromptID {
        let number = try row.int(column)
        guard let id = PromptID(number) else { throw TaskRow.unreadable("A prompt's id is \(number)") }
        return id
    }
}

/// One prompt without its text.
struct FindPrompt: PostgresStatement {
    let id: PromptID

    static let isReadOnly = true
    static let sql = "SELECT " + PromptRow.columns + " FROM agent_prompts p WHERE p.id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.int(id.number) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Prompt { try PromptRow.read(row) }
}

/// One prompt with its text and its base's.
struct FindPromptDocument: PostgresStatement {
    let id: PromptID

    static let isReadOnly = true
    static let sql =
        "SELECT " + PromptRow.columns + """
            , p.content, b.content, v.next_auto_at, o.tasks, o.completed, o.failed, o.rejected, o.canceled, o.retries,
                r.reviews, r.approved, r.rejected, r.escalated, r.sent_back
            FROM agent_prompts p
            LEFT JOIN agent_prompts b ON b.agent_role = p.agent_role AND b.version = p.base_version
            CROSS JOIN LATERAL prompt_update_verdict(p.agent_role) v
            CROSS JOIN LATERAL (
                SELECT count(*) AS tasks, count(*) FILTER (WHERE state = 'completed') AS completed,
                    count(*) FILTER (WHERE state = 'failed') AS failed,
                    count(*) FILTER (WHERE state = 'rejected') AS rejected,
                    count(*) FILTER (WHERE state = 'canceled') AS canceled,
                    coalesce(sum(greatest(stage_attempt - 1, 0)), 0)::int8 AS retries
                FROM (
                    SELECT t.state, t.stage_attempt FROM tasks t
                    WHERE t.role = p.agent_role AND t.prompt_version = p.version
                    ORDER BY t.id DESC LIMIT $2
                ) newest
            ) o
            CROSS JOIN LATERAL (
                SELECT count(*) AS reviews, count(*) FILTER (WHERE decision = 'approved') AS approved,
                    count(*) FILTER (WHERE decision = 'rejected') AS rejected,
                    count(*) FILTER (WHERE decision = 'escalated') AS escalated,
                    count(*) FILTER (WHERE sent_back) AS sent_back
                FROM (
                    SELECT decision, sent_back FROM prompt_reviews
                    WHERE agent_role = p.agent_role AND prompt_version = p.version
                    ORDER BY decided_at DESC LIMIT $2
                ) newest
            ) r
            WHERE p.id = $1
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(id.number)
        bindings.int(PromptOutcomes.tasksMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> PromptDocument {
        PromptDocument(
            prompt: try PromptRow.read(row), content: try row.text(PromptRow.count),
            baseContent: try row.textOrNil(PromptRow.count + 1),
            nextAutoAt: try row.timestampOrNil(PromptRow.count + 2),
            outcomes: PromptOutcomes(
                tasks: try row.int(PromptRow.count + 3), completed: try row.int(PromptRow.count + 4),
                failed: try row.int(PromptRow.count + 5), rejected: try row.int(PromptRow.count + 6),
                canceled: try row.int(PromptRow.count + 7), retries: try row.int(PromptRow.count + 8)
            ),
            reviews: PromptReviews(
                total: try row.int(PromptRow.count + 9), approved: try row.int(PromptRow.count + 10),
                rejected: try row.int(PromptRow.count + 11), escalated: try row.int(PromptRow.count + 12),
                reworkRounds: try row.int(PromptRow.count + 13)
            )
        )
    }
}

/// A page of prompts, newest first.
struct ListPrompts: PostgresStatement {
    let filter: PromptFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + PromptRow.columns + """
             FROM agent_prompts p
            WHERE ($1::text IS NULL OR p.agent_role = $1) AND ($2::text IS NULL OR p.approval_status = $2)
                AND ($3::int8 IS NULL OR p.id < $3)
            ORDER BY p.id DESC LIMIT $4
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.role?.text)
        bindings.text(filter.status?.rawValue)
        bindings.int(filter.before?.number)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Prompt { try PromptRow.read(row) }
}

/// Where governance stands: of one role, or of all that have rules.
struct ShowGovernance: PostgresStatement {
    let role: AgentRole?
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT agent_role, status, can_auto_update, max_updates_per_day, cooldown_hours, require_human_approval,
            updates_last_24h, last_update_at, next_auto_at, active_version, pending_reviews
        FROM governance_status WHERE $1::text IS NULL OR agent_role = $1 ORDER BY agent_role LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(role?.text)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> RoleGovernance {
        RoleGovernance(
            role: try row.name(0), status: try row.text(1), canAutoUpdate: try row.bool(2),
            rules: GovernanceRules(
                updatesPerDayMax: try row.int(3), cooldownHours: try row.int(4), requiresHumanApproval: try row.bool(5)
            ),
            updatesLast24h: try row.int(6), lastUpdateAt: try row.timestampOrNil(7),
            nextAutoAt: try row.timestampOrNil(8), activeVersion: try row.intOrNil(9), pendingReviews: try row.int(10)
        )
    }
}

/// What became of proposals, by role.
struct CountLearning: PostgresStatement {
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT agent_role, proposals, auto_approved, approved, rejected, pending_review, blocked, last_proposed_at,
            rollbacks, open_patterns
        FROM learning_stats ORDER BY agent_role LIMIT $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> LearningStats {
        LearningStats(
            role: try row.name(0), proposals: try row.int(1), autoApproved: try row.int(2), approved: try row.int(3),
            rejected: try row.int(4), pendingReview: try row.int(5), blocked: try row.int(6),
            lastProposedAt: try row.timestampOrNil(7), rollbacks: try row.int(8), openPatterns: try row.int(9)
        )
    }
}
