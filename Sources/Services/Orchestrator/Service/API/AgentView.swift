internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Agents as the API shows them: who is online from the announcements, who was here before from Postgres.
enum AgentView {
    static func list(online: [AgentDirectory.Entry], known: [KnownAgent]) -> JSON {
        let here = Set(online.map(\.announcement.agent))
        return JSONWriter.object { writer in
            writer.field(
                "agents",
                array: { writer in
                    for entry in online.sorted(by: { $0.announcement.agent < $1.announcement.agent }) {
                        writer.element(object: { write(entry, to: &$0) })
                    }
                    for agent in known where !here.contains(agent.agent) {
                        writer.element(object: { write(agent, to: &$0) })
                    }
                })
        }
    }

    private static func write(_ entry: AgentDirectory.Entry, to writer: inout JSONWriter) {
        let said = entry.announcement
        writer.field("id", said.agent.text)
        writer.field("state", "online")
        writer.field("roles", said.roles.map(\.text))
        writer.field("slots", said.slots)
        writer.field("busy", said.leases.count)
        writer.field("owner", said.owner)
        writer.field("version", said.version)
        writer.field("last_seen", Timestamp.text(entry.heard(by: Date())))
    }

    private static func write(_ agent: KnownAgent, to writer: inout JSONWriter) {
        writer.field("id", agent.agent.text)
        writer.field("state", "offline")
        writer.field("roles", agent.roles.map(\.text))
        writer.field("slots", agent.slots)
        writer.field("busy", 0)
        writer.field("owner", agent.owner)
        writer.field("version", agent.version)
        writer.field("last_seen", Timestamp.text(agent.lastSeen))
    }
}
