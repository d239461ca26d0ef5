internal import ArgumentParser
internal import Bootstrap
internal import DLQWorkerService
internal import Logging

@main
struct DLQWorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dlq-worker",
        abstract: "Keeps what no consumer could process: files it, tells people, sends it again when asked.",
        discussion: """
            Settings come from the environment (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_HTTP_PORT, …);
            docs/operations.md lists them. Exit codes: 0 done, 1 failed, 64 wrong usage.

            Example:
              dlq-worker serve
            """,
        version: Version.current, subcommands: [Serve.self], defaultSubcommand: Serve.self
    )
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the service until it is told to stop.")

    func run() async throws {
        try await runService("dlq-worker") { settings, logger, onListening in
            try await DLQWorker(DLQWorkerConfiguration(settings), logger: logger, onListening: onListening).services
        }
    }
}
