package import Bootstrap
internal import Contracts
internal import MessageBus

extension AgentWorkerConfiguration {
    /// What is wrong with these words from a command line; nil when nothing is.
    package static func problem(id: String?, roles: [String], slots: Int, owner: String) -> String? {
        let pattern = "1 to 63 of A-Z a-z 0-9 _ -, a letter or digit first"
        for role in roles where AgentRole(role) == nil { return "\"\(role)\" is no role: \(pattern)." }
        guard (1...AgentAnnouncement.rolesMax).contains(Set(roles).count) else {
            return "Give 1 to \(AgentAnnouncement.rolesMax) roles."
        }
        if let id, AgentID(id) == nil { return "\"\(id)\" is no agent id: \(pattern)." }
        guard slotsRange.contains(slots) else {
            return "Slots must be from \(slotsRange.lowerBound) to \(slotsRange.upperBound)."
        }
        return (1...200).contains(owner.utf8.count) ? nil : "The owner must be 1 to 200 bytes."
    }

    /// From words that `problem` has found good, and the environment's settings. Without an id one is made up.
    ///
    /// Throws `invalidOption` for other words, and what is wrong with the settings.
    package init(
        id: String?, roles: [String], slots: Int, owner: String, backend: BackendKind, settings: ServiceConfiguration
    ) throws {
        if let problem = Self.problem(id: id, roles: roles, slots: slots, owner: owner) {
            throw AgentWorkerError(.invalidOption, problem)
        }
        guard let agent = AgentID(id ?? "agent-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))") else {
            throw AgentWorkerError(.invalidOption, "The agent id is no name.")
        }
        var seen: Set<String> = []
        // An agent makes no streams: of how they are kept it needs nothing.
        let bus = try BusSettings(settings, name: "golden-agent-\(agent)", ownsStreams: false)
        self.init(
            agent: agent, roles: roles.filter { seen.insert($0).inserted }.compactMap { AgentRole($0) }, slots: slots,
            owner: owner, backend: backend, nats: bus.connection
        )
        tracer = bus.streams.tracer
        guard try settings.optionalString("GOLDEN_HTTP_PORT") != nil else { return }
        health = Endpoint(
            host: try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1"),
            port: try settings.int("GOLDEN_HTTP_PORT", default: 8087, in: 0...65_535), handover: try Handover(settings)
        )
    }
}
