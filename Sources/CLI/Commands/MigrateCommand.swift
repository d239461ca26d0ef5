internal import ArgumentParser

/// `golden migrate`
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Apply, revert or list the database's migrations.",
        discussion: """
            Runs `orchestrator migrate` against the stack in the data folder, or, when GOLDEN_POSTGRES_URL is set,
            against that database.

            EXAMPLES:
              golden migrate status
              golden migrate up
              golden migrate down
            """
    )

    enum Verb: String, ExpressibleByArgument, CaseIterable {
        case up, down, status
    }

    @OptionGroup var data: FolderOptions
    @Argument(help: "up, down or status.") var verb: Verb = .status
    @Argument(parsing: .allUnrecognized, help: "More for orchestrator migrate.") var rest: [String] = []

    func run() async throws {
        let environment = Caller.environment
        try await OrchestratorTool(folder: data.folder(environment), environment: environment).run(
            ["migrate", verb.rawValue] + rest, needs: "GOLDEN_POSTGRES_URL"
        )
    }
}
