internal import AgentWorkerService
internal import ArgumentParser
internal import Bootstrap
internal import FoundationEssentials
internal import Logging

@main
struct AgentWorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent-worker",
        abstract: "Leases work over NATS, has a program or a language model do it, and reports the result.",
        discussion: """
            The command back end runs PROGRAM once per work item: the item as JSON on its standard input, the result as
            JSON on its standard output, progress as lines {"progress": "text"} on its standard error. Exit codes of
            PROGRAM: 0 done, 65 refused, 75 try again later, others failed for good; killed by a signal: try again.
            docs/agent-protocol.md has the whole protocol, examples/ has agents to start from.

            The openai back end asks a model at any endpoint of OpenAI's chat completions; GOLDEN_MODEL_URL,
            GOLDEN_MODEL_NAME and GOLDEN_MODEL_KEY say which. docs/model-provider.md has its other settings.

            Settings come from the environment: GOLDEN_NATS_URL, GOLDEN_NATS_USER, GOLDEN_NATS_PASSWORD,
            GOLDEN_NATS_CREDENTIALS, GOLDEN_NATS_CA, GOLDEN_LOG_LEVEL; each also as <NAME>_FILE.
            Exit codes: 0 stopped in good order, 1 failed, 64 wrong usage.

            Examples:
              agent-worker --role developer --backend echo
              agent-worker --id analyst-1 --role analyst --slots 4 -- python3 examples/agents/log_analyst.py
              GOLDEN_MODEL_URL=https://api.openai.com/v1 GOLDEN_MODEL_NAME=gpt-4o-mini GOLDEN_MODEL_KEY_FILE=key \
                agent-worker --role analyst --backend openai --slots 8
              agent-worker --role tester --role reviewer --env OPENAI_API_KEY -- ./review.sh --strict
            """,
        version: Version.current
    )

    enum BackendName: String, ExpressibleByArgument, CaseIterable { case echo, command, openai }

    @Option(help: "This agent's name, unique among all; made up when absent.") var id: String?
    @Option(name: .customLong("role"), help: "A role it takes work of; repeat for several.") var roles: [String]
    @Option(help: "How many work items it does at once, over all roles.") var slots = 1
    @Option(help: "Who runs it; agents of one owner never review each other's work.") var owner = "unknown"
    @Option(help: "What does the work; command when PROGRAM is given.") var backend: BackendName?
    @Option(name: .customLong("env"), help: "A variable PROGRAM may see besides the usual; repeat for several.")
    var environmentNames: [String] = []
    @Option(help: "Seconds that work in hand may take after a SIGTERM.") var drainSeconds = 30
    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.") var program: [String] = []

    func validate() throws {
        if let problem = AgentWorkerConfiguration.problem(id: id, roles: roles, slots: slots, owner: owner) {
            throw ValidationError(problem)
        }
        guard (0...3600).contains(drainSeconds) else { throw ValidationError("--drain-seconds must be 0 to 3600.") }
        switch chosenBackend {
        case .echo where !program.isEmpty, .openai where !program.isEmpty:
            throw ValidationError("The \(chosenBackend.rawValue) back end takes no PROGRAM.")
        case .command where program.isEmpty:
            throw ValidationError("Give the PROGRAM after --, or choose --backend echo.")
        case .echo, .command, .openai: break
        }
    }

    private var chosenBackend: BackendName { backend ?? .command }

    func run() async throws {
        let settings = ServiceConfiguration()
        let level = try settings.logLevel()
        let output = LogOutput.standard()
        output.adoptLibraries(service: "agent-worker", level: max(level, .warning))
        var logger = output.logger(service: "agent-worker", level: level)
        var configuration = try AgentWorkerConfiguration(
            id: id, roles: roles, slots: slots, owner: owner, backend: try backendKind(settings), settings: settings
        )
        configuration.drainTimeout = .seconds(drainSeconds)
        logger[metadataKey: "agent"] = "\(configuration.agent)"
        if case .openai(let model) = configuration.backend {
            logger.info("asks a model", metadata: ["model": "\(model)", "breaker": "\(model.breaker)"])
            if model.showsKey { logger.warning("the model's key travels unencrypted: its URL is no https://") }
        }
        let worker = try await AgentWorker(configuration, logger: logger)
        logger.info(
            "started",
            metadata: [
                "roles": "\(roles.joined(separator: ","))", "slots": "\(slots)", "backend": "\(chosenBackend.rawValue)",
                "version": "\(Version.current)",
            ]
        )
        try await runServices(
            worker.services, logger: logger, drainTimeout: configuration.drainTimeout + AgentWorker.shutdownMargin
        )
    }

    private func backendKind(_ settings: ServiceConfiguration) throws -> AgentWorkerConfiguration.BackendKind {
        switch chosenBackend {
        case .echo: .echo
        case .openai: .openai(try ModelSettings(settings))
        case .command:
            .command(
                AgentWorkerConfiguration.CommandSettings(
                    program: program[0], arguments: Array(program.dropFirst()),
                    environment: AgentWorkerConfiguration.CommandSettings.allowed(
                        ProcessInfo.processInfo.environment, adding: environmentNames
                    )
                )
            )
        }
    }
}
