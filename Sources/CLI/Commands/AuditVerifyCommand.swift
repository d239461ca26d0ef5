internal import ArgumentParser

/// `golden audit verify`
struct AuditVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Prove that no entry was changed, removed or put in between.",
        discussion: """
            Runs `orchestrator audit verify` against the stack in the data folder, or, when GOLDEN_POSTGRES_URL is set,
            against that database. Keep the printed hashes elsewhere: they prove later that nothing was rewritten.
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only this tenant's chain; - is the installation's own.")
    var tenant: String?

    func run() async throws {
        let environment = Caller.environment
        let more = (tenant.map { ["--tenant=\($0)"] } ?? []) + (output.isJSON ? ["--json"] : [])
        try await OrchestratorTool(folder: data.folder(environment), environment: environment).run(
            ["audit", "verify"] + more, needs: "GOLDEN_POSTGRES_URL"
        )
    }
}
