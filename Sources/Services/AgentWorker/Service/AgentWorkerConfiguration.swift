package import Bootstrap
package import Contracts
package import NATS

/// Everything an agent is told: who it is, what it can do, and where the bus is.
///
/// Keys: those of `BusSettings`, of the back end, `GOLDEN_HTTP_PORT` (without it there is no health endpoint),
/// `GOLDEN_HTTP_HOST`.
package struct AgentWorkerConfiguration: Sendable {
    package static let slotsRange: ClosedRange<Int> = 1...10_000
    package static let drainDefault: Duration = .seconds(30)

    package enum BackendKind: Sendable {
        case echo
        case command(CommandSettings)
        /// A language model behind OpenAI's chat completions.
        case openai(ModelSettings)
    }

    /// The program of the command back end.
    package struct CommandSettings: Sendable, CustomStringConvertible {
        /// A path, or a name to look for in `PATH`.
        package var program: String
        package var arguments: [String]
        /// The environment the program gets, already reduced to what it may see.
        package var environment: [String: String]
        /// Between SIGTERM and SIGKILL.
        package var killGrace: Duration = .seconds(2)

        package init(program: String, arguments: [String], environment: [String: String]) {
            self.program = program
            self.arguments = arguments
            self.environment = environment
        }

        /// Without the environment's values, which may be secrets.
        package var description: String { "\(program) (\(arguments.count) arguments)" }

        /// What a program may see of this process's environment: where programs and home are, language, time zone,
        /// Python's settings, and what `names` adds.
        package static func allowed(_ environment: [String: String], adding names: [String]) -> [String: String] {
            environment.filter { name, _ in
                ["PATH", "HOME", "LANG", "TZ"].contains(name) || name.hasPrefix("LC_") || name.hasPrefix("PYTHON")
                    || names.contains(name)
            }
        }
    }

    /// Where an agent answers for its health.
    package struct Endpoint: Sendable {
        package var host: String
        /// 0 takes any free port.
        package var port: Int
        package var handover: Handover
    }

    package var agent: AgentID
    package var roles: [AgentRole]
    package var slots: Int
    package var owner: String
    package var backend: BackendKind
    /// How long work in hand may take after a SIGTERM before it is stopped and handed back.
    package var drainTimeout: Duration = drainDefault
    package var nats: NATSConfiguration
    package var tracer = Tracer.off
    /// Nil: it shows nothing.
    package var health: Endpoint?

    package init(
        agent: AgentID, roles: [AgentRole], slots: Int, owner: String, backend: BackendKind, nats: NATSConfiguration
    ) {
        self.agent = agent
        self.roles = roles
        self.slots = slots
        self.owner = owner
        self.backend = backend
        self.nats = nats
    }
}
