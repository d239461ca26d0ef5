internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import PeerHubService

@main
struct PeerHubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer-hub",
        abstract: "Has work reviewed by its peers: opens sessions, counts votes, says what was decided.",
        discussion: """
            Settings come from the environment (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_HTTP_PORT, …);
            docs/operations.md lists them. Exit codes: 0 done, 1 failed, 64 wrong usage.

            Example:
              peer-hub serve
            """,
        version: Version.current, subcommands: [Serve.self], defaultSubcommand: Serve.self
    )
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the service until it is told to stop.")

    func run() async throws {
        try await runService("peer-hub") { settings, logger, onListening in
            try await PeerHub(PeerHubConfiguration(settings), logger: logger, onListening: onListening).services
        }
    }
}
