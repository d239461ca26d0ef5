internal import Contracts
internal import Postgres

/// The active prompts; the text only of those that are not known already.
struct FindActivePrompts: PostgresStatement {
    let known: [AgentRole: RolePrompt]
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT g.agent_role, p.version, CASE WHEN k.version = p.version THEN NULL ELSE p.content END
        FROM learning_governance g JOIN agent_prompts p ON p.id = g.active_prompt_id
        LEFT JOIN unnest($1::text[], $2::int8[]) AS k(agent_role, version) ON k.agent_role = g.agent_role
        ORDER BY g.agent_role LIMIT $3
        """

    func bind(to bindings: inout PostgresBindings) {
        let known = known.sorted { $0.key < $1.key }
        bindings.texts(known.map(\.key.text))
        bindings.ints(known.map(\.value.version))
        bindings.int(limit)
    }

    /// The content is nil when that version is known.
    static func row(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (version: PromptVersion, content: String?) {
        (PromptVersion(role: try row.name(0), number: try row.int(1)), try row.textOrNil(2))
    }
}

/// The texts of some versions.
struct FindPromptTexts: PostgresStatement {
    let versions: [PromptVersion]

    static let isReadOnly = true
    static let sql = """
        SELECT p.agent_role, p.version, p.content FROM unnest($1::text[], $2::int8[]) AS w(agent_role, version)
        JOIN agent_prompts p ON p.agent_role = w.agent_role AND p.version = w.version
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(versions.map(\.role.text))
        bindings.ints(versions.map(\.number))
    }

    static func row(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (version: PromptVersion, content: String) {
        (PromptVersion(role: try row.name(0), number: try row.int(1)), try row.text(2))
    }
}
