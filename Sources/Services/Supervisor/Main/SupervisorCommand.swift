internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import SupervisorService

@main
struct SupervisorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "supervisor",
        abstract: "Handles what agents cannot settle: judges escalations, asks analysts, calls humans, learns.",
        discussion: """
            Settings come from the environment (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_HTTP_PORT, …);
            docs/operations.md lists them. Exit codes: 0 done, 1 failed, 64 wrong usage.

            Example:
              supervisor serve
            """,
        version: Version.current, subcommands: [Serve.self], defaultSubcommand: Serve.self
    )
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the service until it is told to stop.")

    func run() async throws {
        try await runService("supervisor") { settings, logger, onListening in
            try await Supervisor(SupervisorConfiguration(settings), logger: logger, onListening: onListening).services
        }
    }
}
