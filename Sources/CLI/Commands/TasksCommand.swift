internal import ArgumentParser

/// `golden tasks`
struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "List, show, follow, cancel, approve and explain tasks.",
        discussion: """
            EXAMPLES:
              golden tasks list --state queued
              golden tasks show 0198c5a2-…
              golden tasks explain 0198c5a2-…      why is it waiting?
            """,
        subcommands: [
            TasksListCommand.self, TasksShowCommand.self, TasksFollowCommand.self, TasksCancelCommand.self,
            TasksExplainCommand.self, TasksApproveCommand.self, TasksRejectCommand.self,
        ],
        defaultSubcommand: TasksListCommand.self
    )
}
