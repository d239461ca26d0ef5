internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden tasks list`
struct TasksListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List tasks, the newest first.",
        discussion: """
            EXAMPLES:
              golden tasks list
              golden tasks list --state failed --limit 100
              golden tasks list --json | jq -r '.tasks[].id'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only tasks in this state.", completion: .list(TaskState.allCases.map(\.rawValue)))
    var state: String?

    @Option(help: "Only tasks of this workflow.")
    var workflow: String?

    @Option(help: "How many, 1 to 200.")
    var limit = 50

    @Option(help: "Where the page before ended.")
    var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
        if let state, TaskState(rawValue: state) == nil {
            let states = TaskState.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--state must be one of \(states).")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([
            ("state", state), ("workflow", workflow), ("limit", "\(limit)"), ("cursor", cursor),
        ])
        let answer = try await APIClient.with(try connection.endpoint(environment)) { client in
            try await client.get("/tasks\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        try show(answer, console)
    }

    private func show(_ answer: JSON, _ console: Console) throws {
        var reader = try JSONReader(answer)
        let tasks = try (reader.optionalArray("tasks") ?? []).map { try TaskDocument(json: $0) }
        guard !tasks.isEmpty else { return console.note("No tasks. Next: golden submit FILE --follow") }
        var table = Table("TASK", "STATE", "NAME", "ROLE", "ATTEMPT", "CREATED", "TOOK")
        for task in tasks {
            let age = task.ageSeconds(now: Date()).map { Spans.text(seconds: $0) } ?? "-"
            let attempt = task.attemptMax.map { "\(task.attempt)/\($0)" } ?? "\(task.attempt)"
            table.add(
                .init("\(task.id)"), .init(task.state, TaskDocument.style(of: task.state)), .init(task.name ?? "-"),
                .init(task.role ?? "-"), .init(attempt),
                .init(task.createdAt.map { String(Timestamp.text($0).prefix(19)) + "Z" } ?? "-"), .init(age)
            )
        }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden tasks list --limit \(limit) --cursor \(next)")
        }
    }
}
