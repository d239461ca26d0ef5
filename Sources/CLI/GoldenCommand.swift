internal import ArgumentParser

/// `golden`: runs the embedded stack and speaks with the API.
struct GoldenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "golden",
        abstract: "Run Golden on this machine, submit tasks and watch them.",
        discussion: """
            EXAMPLES:
              golden up --detach                       start the stack in the background
              golden submit task.json --follow         submit a task and watch it to the end
              golden tasks list                        what was submitted
              golden status                            what runs, and where
              golden logs --follow                     what it writes
              golden down                              stop everything

            \(ExitStatus.helpText)
            """,
        version: "golden \(Version.current)",
        subcommands: [
            UpCommand.self, DownCommand.self, UpgradeCommand.self, StatusCommand.self, LogsCommand.self,
            DoctorCommand.self, MigrateCommand.self, BackupCommand.self, RestoreCommand.self,
            JetStreamCommand.self, TokenCommand.self, SubmitCommand.self, TasksCommand.self, AgentsCommand.self,
            WorkflowsCommand.self, EscalationsCommand.self,
            UsersCommand.self, KeysCommand.self, AuditCommand.self,
            BreakersCommand.self, BudgetCommand.self, LimitsCommand.self, WebhooksCommand.self,
            GovernanceCommand.self, ReviewsCommand.self, DLQCommand.self, SandboxCommand.self,
            VersionCommand.self, CompletionsCommand.self,
        ]
    )
}

/// What every command that touches a stack understands.
struct FolderOptions: ParsableArguments {
    @Option(
        name: .customLong("data"), help: ArgumentHelp("The stack's data folder (or GOLDEN_DATA).", valueName: "dir"))
    var path: String?

    func folder(_ environment: [String: String]) -> StackFolder { Self.folder(path, environment) }

    static func folder(_ path: String?, _ environment: [String: String]) -> StackFolder {
        StackFolder(path ?? environment["GOLDEN_DATA"] ?? StackFolder.nameDefault)
    }
}

extension StackFolder {
    /// For a command line that is to find this stack: ` --data DIR`, or nothing where it does so without.
    var option: String { self == StackFolder(Self.nameDefault) ? "" : " --data \(path)" }
}

/// `--json`, understood by every command.
struct OutputOptions: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print JSON for scripts; errors are JSON on standard error.")
    var isJSON = false
}

/// How commands that speak with the API find it.
struct EndpointOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The API's address (or GOLDEN_URL); else the stack in the data folder.", valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp("A token of yours (or GOLDEN_TOKEN); else one from the stack's secret.", valueName: "token"))
    var token: String?

    @OptionGroup var data: FolderOptions

    /// - Parameter role: of the token that the stack's own secret signs when none is given.
    func endpoint(role: String = "developer", _ environment: [String: String]) throws(CLIError) -> Endpoint {
        try Endpoint.find(
            url: url, token: token, folder: data.folder(environment), role: role, environment: environment
        )
    }
}
