internal import ArgumentParser
internal import Contracts

/// `golden governance rules`
struct GovernanceRulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Set how fast a role's prompt may change by itself.",
        discussion: """
            What is not named stays as it is; a role without rules needs all three. Rules that somebody else changed
            meanwhile are left alone.

            EXAMPLES:
              golden governance rules developer --updates 3
              golden governance rules plumber --updates 1 --cooldown 24 --human
            """
    )

    enum Approval: EnumerableFlag {
        case human, automatic
    }

    @Argument(help: "The role.") var role: String
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Updates in any 24 hours, 0 to 1000.") var updates: Int?
    @Option(help: "Hours between two updates, 0 to 8760.") var cooldown: Int?
    @Flag(help: "Whether each update waits for a human.") var approval: Approval?

    func validate() throws {
        guard AgentRole(role) != nil else { throw ValidationError("A role is 1 to 63 of A-Z a-z 0-9 _ -.") }
        guard updates != nil || cooldown != nil || approval != nil else {
            throw ValidationError("Name what shall change: --updates, --cooldown, --human or --automatic.")
        }
        if let updates, !GovernanceRules.updatesRange.contains(updates) {
            throw ValidationError("--updates must be from 0 to 1000.")
        }
        if let cooldown, !GovernanceRules.cooldownRange.contains(cooldown) {
            throw ValidationError("--cooldown must be from 0 to 8760.")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            let query = QueryString.text([("role", role)])
            var status = try JSONReader(try await client.get("/governance/status\(query)").json)
            let current = try (status.optionalArray("roles") ?? []).first
            let (rules, version) = try replacement(of: current)
            return try await client.put("/governance/rules/\(role)", rules.json, ifMatch: "\"\(version)\"").json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try GovernanceTable.of(roles: [answer]))
    }

    /// - Parameter current: the role's rules; nil when it has none.
    private func replacement(of current: JSON?) throws -> (rules: GovernanceRules, version: String) {
        guard let current else {
            guard let updates, let cooldown, let approval else {
                throw CLIError(
                    .usage, "The role \(role) has no rules yet.", kept: "Nothing was changed.",
                    next: "Name all three: --updates, --cooldown, and --human or --automatic."
                )
            }
            let rules = GovernanceRules(
                updatesPerDayMax: updates, cooldownHours: cooldown, requiresHumanApproval: approval == .human)
            return (rules, GovernanceRules.versionOfNone)
        }
        var reader = try JSONReader(current)
        let needsHuman = try reader.optionalBool("require_human_approval") ?? true
        let rules = GovernanceRules(
            updatesPerDayMax: try updates ?? reader.int("max_updates_per_day"),
            cooldownHours: try cooldown ?? reader.int("cooldown_hours"),
            requiresHumanApproval: approval.map { $0 == .human } ?? needsHuman
        )
        return (rules, try reader.string("rules_version"))
    }
}
