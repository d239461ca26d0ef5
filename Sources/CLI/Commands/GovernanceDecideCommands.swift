internal import ArgumentParser
internal import Contracts

/// What the commands that decide on a prompt have in common.
struct PromptDecisionOptions: ParsableArguments {
    @OptionGroup var prompt: PromptArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    /// - Parameter verb: the last segment of the route.
    func carryOut(_ verb: String, _ field: String, _ words: String?) async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = JSONWriter.object { $0.field(ifPresent: field, words) }
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            try await client.post("\(prompt.path)/\(verb)", body).json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let name = "\(try reader.string("role")) v\(try reader.int("version"))"
        let isActive = try reader.optionalBool("active") ?? false
        let state = isActive ? "active: agents of the role get it within a second" : try reader.string("status")
        console.print("Prompt \(prompt.id) (\(Table.printable(name))) is \(Table.printable(state)).")
    }
}

/// `golden governance approve`
struct GovernanceApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Make a waiting or blocked prompt active.",
        discussion: """
            A human's word stands above cooldown and daily limit. Whoever proposed it cannot approve it.

            EXAMPLES:
              golden governance approve 12 --notes "Clear."
            """
    )

    @OptionGroup var decision: PromptDecisionOptions
    @Option(help: "Kept with the prompt.") var notes: String?

    func run() async throws { try await decision.carryOut("approve", "notes", notes) }
}

/// `golden governance reject`
struct GovernanceRejectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject", abstract: "End a waiting or blocked prompt."
    )

    @OptionGroup var decision: PromptDecisionOptions
    @Option(help: "Kept with the prompt.") var notes: String?

    func run() async throws { try await decision.carryOut("reject", "notes", notes) }
}

/// `golden governance rollback`
struct GovernanceRollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Go back to a prompt that was approved once, whatever the limits say.",
        discussion: """
            EXAMPLES:
              golden governance list --role developer --status auto_approved
              golden governance rollback 9 --reason "12 made reviews fail."
            """
    )

    @OptionGroup var decision: PromptDecisionOptions
    @Option(help: "Why; kept with the activation and in the audit log.") var reason: String

    func run() async throws { try await decision.carryOut("activate", "reason", reason) }
}
