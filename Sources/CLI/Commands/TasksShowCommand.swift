internal import ArgumentParser
internal import Contracts

/// `golden tasks show`
struct TasksShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one task with its output.",
        discussion: """
            EXAMPLES:
              golden tasks show 0198c5a2-…
              golden tasks show 0198c5a2-… --json | jq .output
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let document = try await APIClient.with(try connection.endpoint(environment)) { client in
            try TaskDocument(json: try await client.get("/tasks/\(task.id)").json)
        }
        if output.isJSON {
            console.print(document.json.text)
        } else {
            TaskPrinter(console: console).printDetails(document)
        }
    }
}
