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
        let settings = ServiceConfiguration()
        let level = try settings.logLevel()
        let output = LogOutput.standard()
        output.adoptLibraries(service: "peer-hub", level: max(level, .warning))
        let logger = output.logger(service: "peer-hub", level: level)
        let hub = try await PeerHub(PeerHubConfiguration(settings), logger: logger) { port in
            logger.info("listening", metadata: ["port": "\(port)", "version": "\(Version.current)"])
        }
        for key in settings.unread { logger.debug("a setting that nothing reads", metadata: ["key": "\(key)"]) }
        try await runServices(hub.services, logger: logger)
    }
}
