/// What an agent says about itself on `agents.announce`, every `intervalSeconds` and when asked on `control.announce`.
package struct AgentAnnouncement: Sendable, Equatable {
    package static let intervalSeconds = 5
    /// An agent not heard of for this long is shown as offline and its slots no longer count.
    package static let expirySeconds = 16
    package static let rolesMax = 16
    package static let leasesMax = 1000

    package let agent: AgentID
    package let roles: [AgentRole]
    /// How many work items it does at once.
    package let slots: Int
    /// Who runs it; agents of one owner never review each other's work.
    package let owner: String
    package let version: String
    /// The tasks it works on right now.
    package let leases: [TaskID]
    /// True in the agent's last words: it takes no more work.
    package let isLeaving: Bool

    package init(
        agent: AgentID, roles: [AgentRole], slots: Int, owner: String, version: String, leases: [TaskID],
        isLeaving: Bool = false
    ) {
        self.agent = agent
        self.roles = roles
        self.slots = slots
        self.owner = owner
        self.version = version
        self.leases = leases
        self.isLeaving = isLeaving
    }
}

extension AgentAnnouncement: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        agent = try body.name("agent")
        roles = try (body.optionalStrings("roles") ?? []).compactMap { AgentRole($0) }
        slots = try body.int("slots")
        owner = try body.bounded("owner", bytesMax: 200)
        version = try body.bounded("version", bytesMax: 100)
        leases = try (body.optionalStrings("leases") ?? []).compactMap { TaskID($0) }
        isLeaving = try body.optionalBool("leaving") ?? false
        guard (1...10_000).contains(slots) else { throw body.error("slots", "must be from 1 to 10000") }
        guard (1...Self.rolesMax).contains(roles.count) else {
            throw body.error("roles", "must be 1 to \(Self.rolesMax) role names")
        }
        guard leases.count <= Self.leasesMax else { throw body.error("leases", "must not pass \(Self.leasesMax)") }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("agent", agent.text)
        writer.field("roles", roles.map(\.text))
        writer.field("slots", slots)
        writer.field("owner", owner)
        writer.field("version", version)
        writer.field("leases", leases.prefix(Self.leasesMax).map(\.description))
        writer.field("leaving", isLeaving)
    }
}
