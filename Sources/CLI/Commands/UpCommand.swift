internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden up`
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start the embedded stack: postgres, nats, redis, orchestrators, agents.",
        discussion: """
            Everything runs as processes of this account, on loopback, with generated passwords. What dies is started
            again. Without --detach the stack runs until Ctrl-C. Without --agent, --env, --orchestrators and --slots it
            has those of last time; any of the four replaces them all.

            EXAMPLES:
              golden up --detach
              golden up --detach --port 9090 --data .golden-b      a second stack beside the first
              golden up --agent "log-analyst=python3 examples/agents/log_analyst.py" --slots 8
              golden up --orchestrators 2                          ports 8080 and 8081
              golden up --detach --observability                   golden status shows where the dashboards are
              golden up --detach --cluster --data .golden-cluster  stores that survive the loss of a server
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Return once the stack is ready; it goes on in the background.")
    var detach = false

    @Option(help: "The API's port; 0 takes any free one. The default is the last one used, else 8080.")
    var port: Int?

    @Option(help: "How many orchestrators, 1 by default; they listen on the ports from --port on.")
    var orchestrators: Int?

    @Option(
        help: ArgumentHelp(
            "An agent that runs COMMAND for each work item of ROLE; repeatable. Without one for developer, a built-in "
                + "agent echoes developers' work. Agents of one OWNER do not review each other's work; all are of "
                + "\(StackOptions.Agent.ownerDefault) otherwise.", valueName: "role[@owner]=command"
        )
    )
    var agent: [String] = []

    @Option(help: "How many work items each agent does at once, 4 by default.")
    var slots: Int?

    @Flag(
        help: "Three NATS servers, two of Redis with Sentinel and two of Postgres: any one of them may be lost."
    )
    var cluster = false

    @Option(
        help: ArgumentHelp(
            "A variable for every service; repeatable. KEY alone has the value that it has here, which then stands in "
                + "no list of processes.",
            valueName: "key[=value]")
    )
    var env: [String] = []

    @Flag(help: "Also start Prometheus, Alertmanager with the chart's alert rules, and dashboards; not with --cluster.")
    var observability = false

    @Option(
        help: ArgumentHelp(
            "With --observability: multiply every rule's `for:` by this, from 0 to 1; for tests.", valueName: "factor")
    )
    var alertDelay: Double?

    /// Set by --detach on the process in the background: tells its steps as JSON lines until it is ready.
    @Flag(help: .hidden) var supervise = false

    func validate() throws {
        if let port, !(0...65_000).contains(port) { throw ValidationError("--port must be from 0 to 65000.") }
        if let orchestrators, !(1...StackOptions.orchestratorsMax).contains(orchestrators) {
            throw ValidationError("--orchestrators must be from 1 to \(StackOptions.orchestratorsMax).")
        }
        if let slots, !StackOptions.slotsRange.contains(slots) {
            throw ValidationError("--slots must be from 1 to 10000.")
        }
        if let alertDelay {
            guard observability else { throw ValidationError("--alert-delay goes with --observability.") }
            guard (0...1).contains(alertDelay) else { throw ValidationError("--alert-delay must be from 0 to 1.") }
        }
        if cluster, observability { throw ValidationError("--observability goes with a stack without --cluster.") }
        _ = try options(Caller.environment)
    }

    func run() async throws {
        let environment = Caller.environment
        let options = try options(environment)
        if detach {
            try await DetachedStart(options: options, output: output, environment: environment).run(
                arguments: forwarded)
        } else {
            try await ForegroundStack(options: options, environment: environment).run(
                asLines: supervise, isJSON: output.isJSON
            )
        }
    }

    func options(_ environment: [String: String]) throws -> StackOptions {
        var options = StackOptions(folder: data.folder(environment), port: port)
        options.orchestrators = orchestrators ?? StackOptions.orchestratorsDefault
        options.slots = slots ?? StackOptions.slotsDefault
        if observability { options.observability = Observability.Options(alertDelay: alertDelay ?? 1) }
        options.isCluster = cluster
        guard agent.count <= StackOptions.agentsMax else {
            throw ValidationError("At most \(StackOptions.agentsMax) times --agent.")
        }
        options.agents = try agent.map { text in
            let (name, command) = try Self.pair(text, "--agent", "ROLE=COMMAND or ROLE@OWNER=COMMAND")
            let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            // An owner is a name like a role's.
            guard parts.allSatisfy({ AgentRole($0) != nil }) else {
                throw ValidationError("--agent \(text): role and owner must be 1 to 63 of A-Z a-z 0-9 _ -.")
            }
            let owner = parts.count > 1 ? parts[1] : StackOptions.Agent.ownerDefault
            return StackOptions.Agent(role: parts[0], owner: owner, command: command)
        }
        options.environment = try variables(environment)
        options.isAsLastTime =
            orchestrators == nil && slots == nil && agent.isEmpty && options.environment.isEmpty
        return options
    }

    /// What `--env` gave this process, or the one that started it in the background.
    private func variables(_ environment: [String: String]) throws -> [String: String] {
        if supervise, let text = environment[DetachedStart.variablesName] { return try StackEnvironment.read(text) }
        var variables: [String: String] = [:]
        for text in env {
            if text.contains("=") {
                let (key, value) = try Self.pair(text, "--env", "KEY=VALUE")
                variables[key] = value
            } else if let value = environment[text] {
                variables[text] = value
            } else {
                throw ValidationError("--env \(text): there is no such variable here. Give KEY=VALUE, or set it.")
            }
        }
        return variables
    }

    /// The same command line for the process in the background, but for `--env`.
    private var forwarded: [String] {
        var line = ["up", "--supervise"]
        if let orchestrators { line += ["--orchestrators", "\(orchestrators)"] }
        if let slots { line += ["--slots", "\(slots)"] }
        if let port { line += ["--port", "\(port)"] }
        if observability { line += ["--observability"] }
        if let alertDelay { line += ["--alert-delay", "\(alertDelay)"] }
        if cluster { line.append("--cluster") }
        return line + agent.flatMap { ["--agent", $0] }
    }

    private static func pair(_ text: String, _ option: String, _ form: String) throws -> (String, String) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw ValidationError("\(option) \(text): must be \(form).")
        }
        let value = String(text[text.index(after: equals)...])
        guard option == "--env" || !value.isEmpty else { throw ValidationError("\(option) \(text): must be \(form).") }
        return (String(text[..<equals]), value)
    }
}
