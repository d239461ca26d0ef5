internal import ArgumentParser

/// `golden tasks follow`
struct TasksFollowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow", abstract: "Show a task's events, past and live, until it has ended.",
        discussion: """
            Ends with the task's exit code: 0 completed, 3 failed, 4 canceled, 5 rejected.

            EXAMPLES:
              golden tasks follow 0198c5a2-…
              golden tasks follow 0198c5a2-… --timeout 5m --json
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("How long to wait at most: 90s, 15m, 2h.", valueName: "time"))
    var timeout: String?

    func validate() throws {
        if let timeout, Spans.seconds(timeout) == nil {
            throw ValidationError("--timeout must be such as 90s, 15m or 2h, and at most ten years.")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let status = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await TaskWaiting(client: client, task: task.id, console: console).run(
                showsEvents: true, isJSON: output.isJSON, atMostSeconds: timeout.flatMap(Spans.seconds)
            )
        }
        if status != .success { throw status }
    }
}
