internal import ArgumentParser

/// `golden audit export`
struct AuditExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print every entry as one JSON object a line, with its hashes."
    )

    @OptionGroup var data: FolderOptions

    @Option(help: "Only this tenant's chain; - is the installation's own.")
    var tenant: String?

    func run() async throws {
        let environment = Caller.environment
        try await OrchestratorTool(folder: data.folder(environment), environment: environment).run(
            ["audit", "export"] + (tenant.map { ["--tenant=\($0)"] } ?? []), needs: "GOLDEN_POSTGRES_URL"
        )
    }
}
