internal import Contracts
internal import FoundationEssentials
internal import Postgres

// The rules are the SQL functions of migrations 003, 012 and 019, which runbooks call too. These statements only call
// them.

/// Files a proposal; answers its id, and for a blocked one until when.
///
/// The verdict is asked for again with the role still locked, so it is the one that was filed.
struct ProposePrompt: PostgresStatement {
    let proposal: PromptProposal
    let proposer: String

    static let sql = """
        WITH filed AS MATERIALIZED (
            SELECT $1::text AS role_name, f.* FROM propose_prompt_update($1, $2, $3, $4::int8::int, $5) f
        )
        SELECT f.prompt_id, v.next_auto_at FROM filed f
        LEFT JOIN LATERAL prompt_update_verdict(f.role_name) v ON f.verdict = 'blocked'
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(proposal.role.text)
        bindings.text(proposal.content)
        bindings.text(proposer)
        bindings.int(proposal.baseVersion)
        bindings.text(proposal.reason)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: PromptID, nextAutoAt: Date?) {
        (try PromptRow.id(row, 0), try row.timestampOrNil(1))
    }
}

/// A human says yes: the version becomes active.
struct ApprovePrompt: PostgresStatement {
    let id: PromptID
    let approver: String
    let notes: String?

    static let sql = "SELECT approve_prompt_update($1::int8::int, $2, $3)"

    func bind(to bindings: inout PostgresBindings) { bindings.decision(id, approver, notes) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// A human says no, or the proposer withdraws.
struct RejectPrompt: PostgresStatement {
    let id: PromptID
    let reviewer: String
    let notes: String?

    static let sql = "SELECT reject_prompt_update($1::int8::int, $2, $3)"

    func bind(to bindings: inout PostgresBindings) { bindings.decision(id, reviewer, notes) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Goes back to a version that was approved once.
struct ActivatePrompt: PostgresStatement {
    let id: PromptID
    let principal: String
    let reason: String

    static let sql = "SELECT activate_prompt_version($1::int8::int, $2, $3)"

    func bind(to bindings: inout PostgresBindings) { bindings.decision(id, principal, reason) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Sets a role's rules when they are at the expected version, or whatever they are. No row: they are not.
struct SetRules: PostgresStatement {
    let role: AgentRole
    let rules: GovernanceRules
    /// Nil for any; `GovernanceRules.versionOfNone` for a role that must not have any yet.
    let expectedVersion: String?

    static let sql = """
        INSERT INTO learning_governance AS g (
            agent_role, max_updates_per_day, cooldown_hours, require_human_approval
        )
        SELECT $1, $2, $3, $4 WHERE coalesce($5::text, 'none') = 'none'
            OR EXISTS (SELECT FROM learning_governance e WHERE e.agent_role = $1)
        ON CONFLICT (agent_role) DO UPDATE SET max_updates_per_day = EXCLUDED.max_updates_per_day,
            cooldown_hours = EXCLUDED.cooldown_hours, require_human_approval = EXCLUDED.require_human_approval
            WHERE $5::text IS NULL OR $5 = concat_ws(
                '-', g.max_updates_per_day, g.cooldown_hours,
                CASE WHEN g.require_human_approval THEN 'human' ELSE 'auto' END
            )
        RETURNING 1
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(role.text)
        bindings.int(rules.updatesPerDayMax)
        bindings.int(rules.cooldownHours)
        bindings.bool(rules.requiresHumanApproval)
        bindings.text(expectedVersion)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

extension PostgresBindings {
    fileprivate mutating func decision(_ id: PromptID, _ who: String, _ why: String?) {
        int(id.number)
        text(who)
        text(why)
    }
}
