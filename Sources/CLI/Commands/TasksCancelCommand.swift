internal import ArgumentParser
internal import Contracts

/// `golden tasks cancel`
struct TasksCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel a task.",
        discussion: """
            EXAMPLES:
              golden tasks cancel 0198c5a2-… --reason "wrong file"
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Kept in the task's history.") var reason: String?

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = JSONWriter.object { $0.field(ifPresent: "reason", reason) }
        let document = try await APIClient.with(try connection.endpoint(environment)) { client in
            try TaskDocument(json: try await client.post("/tasks/\(task.id)/cancel", body).json)
        }
        if output.isJSON { return console.print(document.json.text) }
        let isOver = document.exitStatus != nil
        console.print("Task \(document.id) is \(isOver ? document.state : "being canceled (\(document.state))").")
        if !isOver { console.note("Next: golden tasks follow \(document.id)") }
    }
}
