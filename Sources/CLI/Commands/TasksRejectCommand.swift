internal import ArgumentParser

/// `golden tasks reject`
struct TasksRejectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject", abstract: "Reject the work of a task that waits for approval; the task ends.",
        discussion: """
            EXAMPLES:
              golden tasks reject 0198c5a2-… --reason "deletes the backups"
            """
    )

    @Argument(help: "The task's id.") var task: TaskArgument
    @OptionGroup var options: JudgeOptions

    @Option(help: "Why.") var reason: String

    func run() async throws { try await Approval.give("reject", to: task, reason: reason, options) }
}
