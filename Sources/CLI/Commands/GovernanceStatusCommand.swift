internal import ArgumentParser
internal import Contracts

/// `golden governance status`
struct GovernanceStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show per role whether its prompt may change now, or from when on.",
        discussion: """
            EXAMPLES:
              golden governance status
              golden governance status --role developer
              golden governance status --json | jq '.roles[] | select(.can_auto_update | not)'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only this role.") var role: String?

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "operator", environment)) { client in
            try await client.get("/governance/status\(QueryString.text([("role", role)]))").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let roles = try reader.optionalArray("roles") ?? []
        guard !roles.isEmpty else {
            return console.note("No rules. Next: golden governance rules ROLE --updates 5 --cooldown 2 --automatic")
        }
        console.print(try GovernanceTable.of(roles: roles))
    }
}
