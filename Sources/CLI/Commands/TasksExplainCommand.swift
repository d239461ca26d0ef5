internal import ArgumentParser
internal import Contracts

/// `golden tasks explain`
struct TasksExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say why a task is where it is, and what happens next.",
        discussion: """
            EXAMPLES:
              golden tasks explain 0198c5a2-…
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/tasks/\(task.id)/explain").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let state = try reader.string("state")
        let shown = console.styled(Table.printable(state), TaskDocument.style(of: state) ?? .bold)
        console.print("\(shown): \(Table.printable(try reader.string("summary")))")
        for detail in try reader.optionalStrings("details") ?? [] { console.print("  · \(Table.printable(detail))") }
        if let next = try reader.optionalString("next") { console.print("Next: \(Table.printable(next))") }
    }
}
