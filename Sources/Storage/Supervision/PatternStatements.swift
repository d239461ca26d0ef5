internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Kinds of failures that were met since somebody last looked for patterns.
struct ListUnlearned: PostgresStatement {
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT DISTINCT agent_role, signature FROM escalations
        WHERE signature IS NOT NULL AND learned_at IS NULL AND agent_role IS NOT NULL LIMIT $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> FailureKind {
        FailureKind(role: try row.name(0), signature: try row.text(1))
    }
}

/// One after the other learns about a role, and governance decides about it, until the transaction ends.
struct LockPromptRole: PostgresStatement {
    let role: AgentRole

    static let sql = "SELECT lock_prompt_role($1)"

    func bind(to bindings: inout PostgresBindings) { bindings.text(role.text) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Notes that escalations were looked at. One that somebody resolves at this moment is looked at again.
struct MarkLearned: PostgresStatement {
    let kind: FailureKind

    static let sql = """
        UPDATE escalations SET learned_at = clock_timestamp() WHERE id IN (
            SELECT id FROM escalations WHERE agent_role = $1 AND signature = $2 AND learned_at IS NULL
            FOR NO KEY UPDATE SKIP LOCKED
        )
        """

    func bind(to bindings: inout PostgresBindings) { bindings.kind(kind) }
}

/// The last pattern made of a kind of failures, and whether it is still being watched.
struct FindLastPattern: PostgresStatement {
    struct Row: Sendable {
        let id: Int
        /// Open, or proposed and not decided on.
        let isWatched: Bool
        let isOpen: Bool
    }

    let kind: FailureKind

    static let isReadOnly = true
    static let sql = """
        SELECT l.id, l.status = 'open' OR coalesce(p.approval_status IN ('pending_review', 'blocked'), false),
            l.status = 'open'
        FROM learning_patterns l LEFT JOIN agent_prompts p ON p.id = l.prompt_id
        WHERE l.agent_role = $1 AND l.signature = $2 ORDER BY l.id DESC LIMIT 1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.kind(kind) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(id: try row.int(0), isWatched: try row.bool(1), isOpen: try row.bool(2))
    }
}

/// What failures a pattern is made of: those since a watched one began, or since the last was decided on, and within
/// the window for a new one. Their words are those of the newest.
struct GatherEvidence: PostgresStatement {
    struct Row: Sendable {
        let count: Int
        let first: Date
        let last: Date
        let classification: EscalationCause.Classification
        let source: String
        let failedGuard: Guard?
        let reason: String
        /// A list of objects, newest first.
        let evidence: JSON
    }

    static let evidenceMax = 20

    let kind: FailureKind
    let watched: Int?
    let windowHours: Int

    static let isReadOnly = true
    static let sql = """
        WITH since AS (
            SELECT CASE WHEN $3::int8 IS NOT NULL THEN (SELECT first_seen FROM learning_patterns WHERE id = $3)
                ELSE greatest(clock_timestamp() - make_interval(hours => $4::int8::int), (
                    SELECT coalesce(p.reviewed_at, p.proposed_at, l.last_seen) + interval '1 microsecond'
                    FROM learning_patterns l LEFT JOIN agent_prompts p ON p.id = l.prompt_id
                    WHERE l.agent_role = $1 AND l.signature = $2 ORDER BY l.id DESC LIMIT 1
                )) END AS at
        ), alike AS (
            SELECT e.* FROM escalations e, since
            WHERE e.agent_role = $1 AND e.signature = $2 AND e.created_at >= since.at
        ), newest AS (SELECT * FROM alike ORDER BY created_at DESC, id DESC LIMIT $5)
        SELECT (SELECT count(*) FROM alike), (SELECT min(created_at) FROM alike), n.created_at, n.classification,
            n.source, n.guard, n.reason, (
                SELECT json_agg(json_build_object('escalation_id', id, 'task_id', task_id, 'at', created_at)
                    ORDER BY created_at DESC, id DESC)
                FROM newest
            )
        FROM newest n ORDER BY n.created_at DESC, n.id DESC LIMIT 1
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.kind(kind)
        bindings.int(watched)
        bindings.int(windowHours)
        bindings.int(Self.evidenceMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            count: try row.int(0), first: try row.timestamp(1), last: try row.timestamp(2),
            classification: try row.classificationOrNil(3) ?? .processIssue, source: try row.text(4),
            failedGuard: try row.textOrNil(5).flatMap { Guard(rawValue: $0) }, reason: try row.text(6),
            evidence: try row.parsedJSON(7)
        )
    }
}

/// Begins a pattern, or goes on with the one that is watched.
struct WritePattern: PostgresStatement {
    let kind: FailureKind
    let watched: Int?
    let description: String
    let found: GatherEvidence.Row

    static let sql = """
        WITH known AS (
            UPDATE learning_patterns SET occurrences = $5, evidence = $6, last_seen = greatest(last_seen, $8),
                description = $4
            WHERE id = $9 RETURNING id
        ), new AS (
            INSERT INTO learning_patterns (
                agent_role, signature, classification, description, occurrences, evidence, first_seen, last_seen
            ) SELECT $1, $2, $3, $4, $5::int8::int, $6, $7, $8 WHERE $9::int8 IS NULL RETURNING id
        )
        SELECT id FROM known UNION ALL SELECT id FROM new
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.kind(kind)
        bindings.text(found.classification.rawValue)
        bindings.text(description)
        bindings.int(found.count)
        bindings.json(Array(found.evidence.bytes))
        bindings.timestamp(found.first)
        bindings.timestamp(found.last)
        bindings.int(watched)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// The role's prompt as it is now.
struct FindActivePrompt: PostgresStatement {
    let role: AgentRole

    static let isReadOnly = true
    static let sql = """
        SELECT p.version, p.content FROM learning_governance g JOIN agent_prompts p ON p.id = g.active_prompt_id
        WHERE g.agent_role = $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.text(role.text) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> RolePrompt {
        RolePrompt(version: try row.int(0), content: try row.text(1))
    }
}

/// Notes that a pattern was turned into a proposal.
struct NoteProposal: PostgresStatement {
    let pattern: Int
    let prompt: PromptID

    static let sql =
        "UPDATE learning_patterns SET status = 'proposed', prompt_id = $2::int8::int WHERE id = $1 AND status = 'open'"

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(pattern)
        bindings.int(prompt.number)
    }
}

extension PostgresBindings {
    fileprivate mutating func kind(_ kind: FailureKind) {
        text(kind.role.text)
        text(kind.signature)
    }
}
