internal import ArgumentParser

/// `golden jetstream`
struct JetStreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jetstream",
        abstract: "Create the streams and consumers, or show how they differ.",
        discussion: """
            Runs `orchestrator jetstream` against the stack in the data folder, or, when GOLDEN_NATS_URL is set,
            against those servers. For the stack it uses the settings that golden up was given with --env.

            EXAMPLES:
              golden jetstream setup
              golden jetstream status
            """
    )

    enum Verb: String, ExpressibleByArgument, CaseIterable {
        case setup, status
    }

    @OptionGroup var data: FolderOptions
    @Argument(help: "setup or status.") var verb: Verb = .status
    @Argument(parsing: .allUnrecognized, help: "More for orchestrator jetstream.") var rest: [String] = []

    func run() async throws {
        let environment = Caller.environment
        try await OrchestratorTool(folder: data.folder(environment), environment: environment).run(
            ["jetstream", verb.rawValue] + rest, needs: "GOLDEN_NATS_URL"
        )
    }
}
