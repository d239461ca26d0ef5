internal import ArgumentParser
internal import Contracts

/// `golden governance`
struct GovernanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "governance",
        abstract: "Show and decide how agents' prompts change.",
        discussion: """
            Whoever proposed a prompt cannot approve it. The stack's own token is always the same person, so approve
            with a token of somebody else: golden token --role admin --tenant acme --subject ada

            EXAMPLES:
              golden governance status
              golden governance propose developer prompt.txt --base 3 --reason "Tests were missing."
              golden governance pending
              golden governance patterns
              golden governance diff 12
              golden governance approve 12 --notes "Clear."
              golden governance rollback 9 --reason "12 made reviews fail."
            """,
        subcommands: [
            GovernanceStatusCommand.self, GovernanceListCommand.self, GovernancePendingCommand.self,
            GovernanceShowCommand.self, GovernanceDiffCommand.self, GovernanceProposeCommand.self,
            GovernanceApproveCommand.self, GovernanceRejectCommand.self, GovernanceRollbackCommand.self,
            GovernanceRulesCommand.self, GovernancePatternsCommand.self,
        ],
        defaultSubcommand: GovernanceStatusCommand.self
    )
}

/// The prompt that a command is about.
struct PromptArgument: ParsableArguments {
    @Argument(help: "The prompt's id, as golden governance list shows it.") var id: Int

    func validate() throws {
        guard PromptID(id) != nil else { throw ValidationError("A prompt's id is a number from 1.") }
    }

    var path: String { "/governance/prompts/\(id)" }
}

/// Prompts and roles as people read them.
enum GovernanceTable {
    static func of(roles: [JSON]) throws -> Table {
        var table = Table("ROLE", "STATUS", "ACTIVE", "UPDATES", "COOLDOWN", "APPROVAL", "PENDING", "NEXT BY ITSELF")
        for json in roles {
            var role = try JSONReader(json)
            let status = try role.string("status")
            let updates = "\(try role.int("updates_last_24h"))/\(try role.int("max_updates_per_day"))"
            let needsHuman = try role.optionalBool("require_human_approval") ?? true
            let pending = try role.int("pending_reviews")
            table.add(
                .init(try role.string("role"), .bold), .init(status, status == "ready" ? .green : .yellow),
                .init(try role.optionalInt("active_version").map { "v\($0)" } ?? "-"), .init(updates),
                .init("\(try role.int("cooldown_hours")) h"), .init(needsHuman ? "human" : "automatic"),
                .init("\(pending)", pending > 0 ? .cyan : nil),
                .init(next(status, shortTime(try role.optionalString("next_auto_at"))))
            )
        }
        return table
    }

    private static func next(_ status: String, _ time: String) -> String {
        switch status {
        case "ready": "now"
        case "human_approval_required": "never"
        default: time == "-" ? "never" : time
        }
    }

    static func of(prompts: [JSON]) throws -> Table {
        var table = Table("ID", "ROLE", "VERSION", "STATUS", "WHY", "BY", "PROPOSED", "REVIEWED BY", "REASON")
        for json in prompts {
            var prompt = try JSONReader(json)
            let status = try prompt.string("status")
            let isActive = try prompt.optionalBool("active") ?? false
            table.add(
                .init("\(try prompt.int("id"))", .bold), .init(try prompt.string("role")),
                .init("v\(try prompt.int("version")) from v\(try prompt.int("base_version"))"),
                .init(isActive ? "active" : status, isActive ? .green : style(status)),
                .init(try prompt.string("verdict_reason")), .init(try prompt.string("proposed_by")),
                .init(shortTime(try prompt.optionalString("proposed_at"))),
                .init(try prompt.optionalString("reviewed_by") ?? "-"),
                .init(String((try prompt.optionalString("reason") ?? "-").prefix(60)))
            )
        }
        return table
    }

    private static func style(_ status: String) -> Console.Style? {
        switch status {
        case "pending_review": .cyan
        case "blocked": .yellow
        case "rejected": .red
        default: .dim
        }
    }

    /// One line of a text that others wrote. Tabs are kept apart from other control characters, since texts have them.
    static func line(_ text: some StringProtocol) -> String {
        Table.printable(text.split(separator: "\t", omittingEmptySubsequences: false).joined(separator: "    "))
    }

    /// The lines of a text, whatever ends them.
    static func lines(_ text: String) -> [Substring] {
        var lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
