internal import ArgumentParser

/// `golden users init`
struct UsersInitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make the first admin, with a generated password, when there is no user yet.",
        discussion: """
            Runs `orchestrator accounts init` against the stack in the data folder, or, when GOLDEN_POSTGRES_URL is set,
            against that database. `golden up` does this by itself.
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        try await OrchestratorTool(folder: data.folder(environment), environment: environment).run(
            ["accounts", "init"] + (output.isJSON ? ["--json"] : []), needs: "GOLDEN_POSTGRES_URL"
        )
    }
}
