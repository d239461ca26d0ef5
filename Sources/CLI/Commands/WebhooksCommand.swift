internal import ArgumentParser
internal import Contracts

/// `golden webhooks`
struct WebhooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhooks",
        abstract: "Subscribe addresses to events, and see what was delivered to them.",
        discussion: """
            EXAMPLES:
              golden webhooks add https://example.com/golden --event task.completed --event task.failed
              golden webhooks list
              golden webhooks deliveries --state failed
              golden webhooks replay 0b6c0f0e-6f0e-4c38-9d3e-2b6a54a3a1de
            """,
        subcommands: [
            WebhooksListCommand.self, WebhooksAddCommand.self, WebhooksRemoveCommand.self,
            WebhooksRotateCommand.self, WebhooksDeliveriesCommand.self, WebhooksReplayCommand.self,
        ],
        defaultSubcommand: WebhooksListCommand.self
    )
}

/// What the commands have in common that do one thing to one webhook or delivery.
struct WebhookOptions: ParsableArguments {
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    /// Prints the answer as JSON, or what `show` makes of it.
    func carryOut(
        _ call: (APIClient) async throws -> APIClient.Answer, show: (Console, inout JSONReader) throws -> Void
    ) async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(environment)) { try await call($0).json }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        try show(console, &reader)
    }
}
