/// Who must not do a work item: the field `not_for` with `agents` and `owners`.
///
/// A courtesy that saves their work; whoever takes it all the same is refused when they report.
package struct WorkExclusion: Sendable, Equatable {
    /// Names of each kind.
    package static let namesMax = 64

    package let agents: [String]
    package let owners: [String]

    package init(agents: [String], owners: [String]) {
        self.agents = agents
        self.owners = owners
    }

    package func excludes(_ agent: AgentID, of owner: String) -> Bool {
        agents.contains(agent.text) || owners.contains(owner)
    }

    /// Nil when the body has no such field.
    init?(from body: inout JSONReader) throws(JSONError) {
        guard var reader = try body.optionalObject("not_for") else { return nil }
        agents = try reader.optionalStrings("agents") ?? []
        owners = try reader.optionalStrings("owners") ?? []
        guard agents.count <= Self.namesMax, owners.count <= Self.namesMax else {
            throw body.error("not_for", "must not name more than \(Self.namesMax) agents and as many owners")
        }
    }

    func write(to writer: inout JSONWriter) {
        writer.field("agents", agents)
        writer.field("owners", owners)
    }
}
