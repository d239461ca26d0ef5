internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden agents`
struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents",
        abstract: "List the agents: roles, slots, what they hold, when they were last heard of.",
        discussion: """
            EXAMPLES:
              golden agents
              golden agents --json | jq '.agents[] | select(.state == "online")'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/agents").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let agents = try reader.optionalArray("agents") ?? []
        guard !agents.isEmpty else { return console.note("No agents. Next: golden up --agent ROLE=COMMAND") }
        var table = Table("AGENT", "STATE", "ROLES", "BUSY", "OWNER", "VERSION", "LAST SEEN")
        for agent in agents { table.add(row: try row(agent)) }
        console.print(table)
    }

    private func row(_ json: JSON) throws -> [Table.Cell] {
        var agent = try JSONReader(json)
        let state = try agent.string("state")
        let busy = try agent.optionalInt("busy") ?? 0
        let slots = try agent.optionalInt("slots").map { "/\($0)" } ?? ""
        let seen = try agent.optionalString("last_seen").flatMap(Timestamp.date)
        let ago = seen.map { Spans.text(seconds: Date().timeIntervalSince($0)) + " ago" } ?? "-"
        return [
            .init(try agent.string("id"), .bold), .init(state, state == "online" ? .green : .yellow),
            .init((try agent.optionalStrings("roles") ?? []).joined(separator: ", ")), .init("\(busy)\(slots)"),
            .init(try agent.optionalString("owner") ?? "-"), .init(try agent.optionalString("version") ?? "-"),
            .init(ago),
        ]
    }
}
