package import Contracts
package import FoundationEssentials
package import Postgres

/// An agent as it was last heard of.
package struct KnownAgent: Sendable, Equatable {
    package let agent: AgentID
    package let roles: [AgentRole]
    package let slots: Int
    package let owner: String
    package let version: String
    package let lastSeen: Date

    package init(
        agent: AgentID, roles: [AgentRole], slots: Int, owner: String, version: String, lastSeen: Date
    ) {
        self.agent = agent
        self.roles = roles
        self.slots = slots
        self.owner = owner
        self.version = version
        self.lastSeen = lastSeen
    }
}

/// The agents that ever announced themselves.
package final class AgentStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Inserts or refreshes agents.
    package func save(_ agents: [KnownAgent]) async throws {
        guard !agents.isEmpty else { return }
        _ = try await pool.execute(SaveAgents(agents: agents.sorted { $0.agent < $1.agent }))
    }

    /// The agents last heard of, newest first.
    package func recent(limit: Int) async throws -> [KnownAgent] { try await pool.execute(RecentAgents(limit: limit)) }
}

/// Roles travel as one text joined by commas, which no role can hold, because arrays of arrays must be rectangular.
struct SaveAgents: PostgresStatement {
    let agents: [KnownAgent]

    static let sql = """
        INSERT INTO agents (id, roles, slots, owner, version, first_seen, last_seen)
        SELECT id, string_to_array(roles, ','), slots, owner, version, seen, seen
        FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::timestamptz[])
            AS u(id, roles, slots, owner, version, seen)
        ON CONFLICT (id) DO UPDATE SET
            roles = excluded.roles, slots = excluded.slots, owner = excluded.owner, version = excluded.version,
            last_seen = greatest(agents.last_seen, excluded.last_seen)
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(agents.map { $0.agent.text })
        bindings.texts(agents.map { $0.roles.map(\.text).joined(separator: ",") })
        bindings.ints(agents.map(\.slots))
        bindings.texts(agents.map(\.owner))
        bindings.texts(agents.map(\.version))
        bindings.timestamps(agents.map(\.lastSeen))
    }
}

struct RecentAgents: PostgresStatement {
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        SELECT id, array_to_string(roles, ','), slots, owner, version, last_seen FROM agents
        ORDER BY last_seen DESC LIMIT $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> KnownAgent {
        KnownAgent(
            agent: try row.name(0), roles: try row.text(1).split(separator: ",").compactMap { AgentRole($0) },
            slots: try row.int(2), owner: try row.text(3), version: try row.text(4), lastSeen: try row.timestamp(5)
        )
    }
}
