internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import SandboxExecutorService

@main
struct SandboxExecutorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox-executor",
        abstract: "Runs programs that nobody trusts, so that nothing they do reaches the host or each other.",
        discussion: """
            Settings come from the environment (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_SANDBOX_TIER, …);
            docs/sandbox.md lists them. Exit codes: 0 done, 1 failed, 64 wrong usage.

            Examples:
              sandbox-executor serve
              sandbox-executor check      what this host lacks, and which layers hold
            """,
        version: Version.current, subcommands: [Serve.self, Check.self], defaultSubcommand: Serve.self
    )
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the service until it is told to stop.")

    func run() async throws {
        try await runService("sandbox-executor") { settings, logger, onListening in
            try await SandboxExecutor(SandboxExecutorConfiguration(settings), logger: logger, onListening: onListening)
                .services
        }
    }
}

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Tries every layer as a start does, and prints what holds as JSON. Ends with 1 when nothing is served."
    )

    func run() async throws {
        let settings = ServiceConfiguration()
        let logger = Logger(label: "check") { _ in SwiftLogNoOpLogHandler() }
        let setup = await EngineSetup(try EngineConfiguration(settings), logger: logger)
        print(setup)
        await setup.close()
        if !setup.isServing { throw ExitCode.failure }
    }
}
