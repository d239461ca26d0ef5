internal import ArgumentParser
internal import Contracts

/// `golden tasks approve`
struct TasksApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Approve the work of a task that waits for it.",
        discussion: """
            EXAMPLES:
              golden tasks show 0198c5a2-… --json | jq .draft      what was made
              golden tasks approve 0198c5a2-…
              golden tasks approve 0198c5a2-… --reason "read it all"
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var options: JudgeOptions

    @Option(help: "Kept in the task's history.") var reason: String?

    func run() async throws { try await Approval.give("approve", to: task, reason: reason, options) }
}

/// What both commands do.
enum Approval {
    static func give(_ verdict: String, to task: TaskArgument, reason: String?, _ options: JudgeOptions) async throws {
        let body = JSONWriter.object {
            $0.field("verdict", verdict)
            $0.field(ifPresent: "reason", reason)
        }
        try await options.carryOut {
            try await $0.post("/tasks/\(task.id)/approval", body)
        } show: { console, answer in
            let document = try TaskDocument(json: answer)
            console.print("Task \(document.id) is \(document.state).")
            if document.exitStatus == nil { console.note("Next: golden tasks follow \(document.id)") }
        }
    }
}
