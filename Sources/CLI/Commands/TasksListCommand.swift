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
    @OptionGroup var page: ListPage

    @Option(help: "Only tasks in this state.", completion: .list(TaskState.allCases.map(\.rawValue)))
    var state: String?

    @Option(help: "Only tasks of this workflow.")
    var workflow: String?

    @Option(help: "Only parts of this task.")
    var parent: String?

    func validate() throws {
        if let state, TaskState(rawValue: state) == nil {
            let states = TaskState.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--state must be one of \(states).")
        }
    }

    func run() async throws {
        try await page.show(
            "/tasks", [("state", state), ("workflow", workflow), ("parent", parent)], field: "tasks",
            from: try connection.endpoint(Caller.environment),
            none: "No tasks. Next: golden submit FILE --follow", table: table
        )
    }

    private func table(_ tasks: [JSON]) throws -> Table {
        var table = Table("TASK", "STATE", "NAME", "ROLE", "ATTEMPT", "CREATED", "TOOK")
        for task in try tasks.map({ try TaskDocument(json: $0) }) {
            let age = task.ageSeconds(now: Date()).map { Spans.text(seconds: $0) } ?? "-"
            let attempt = task.attemptMax.map { "\(task.attempt)/\($0)" } ?? "\(task.attempt)"
            table.add(
                .init("\(task.id)"), .init(task.state, TaskDocument.style(of: task.state)), .init(task.name ?? "-"),
                .init(task.role ?? "-"), .init(attempt), .init(shortTime(task.createdAt)), .init(age)
            )
        }
        return table
    }
}
