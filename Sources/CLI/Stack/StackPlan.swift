internal import Contracts
internal import FoundationEssentials

/// Which processes a stack consists of and what each of them is told.
struct StackPlan: Sendable {
    /// Taken over from the caller; the rest of the caller's environment stays outside.
    static let inherited = [
        "PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "GOLDEN_LOG_LEVEL", "GOLDEN_WEBHOOK_ALLOW",
        "GOLDEN_OTLP_ENDPOINT",
        "GOLDEN_WEBHOOK_TIMEOUT_SECONDS", "GOLDEN_WEBHOOK_ATTEMPTS", "GOLDEN_WEBHOOK_FIRST_WAIT_SECONDS",
        "GOLDEN_SANDBOX_FOLDER", "GOLDEN_SANDBOX_LAUNCHER", "GOLDEN_SANDBOX_TIER", "GOLDEN_SANDBOX_MIN_TIER",
        "GOLDEN_SANDBOX_CONCURRENCY", "GOLDEN_SANDBOX_UID_BASE", "GOLDEN_SANDBOX_WARM", "GOLDEN_SANDBOX_CEILINGS",
    ]

    /// Those that name a place.
    static let inheritedPaths = ["GOLDEN_SANDBOX_FOLDER", "GOLDEN_SANDBOX_LAUNCHER"]

    /// glibc's allocator with room for more freed blocks a thread: an eighth more requests a second.
    static let allocatorSettings = "glibc.malloc.tcache_count=200:glibc.malloc.arena_max=2"

    let options: StackOptions
    let ports: StackRecord.Ports
    let secrets: StackSecrets
    let postgresFolder: String
    let caller: [String: String]
    let isRoot: Bool

    var nats: NATSStore { NATSStore(folder: options.folder.nats, port: ports.nats, password: secrets.nats) }
    var redis: RedisStore { RedisStore(folder: options.folder.redis, port: ports.redis, password: secrets.redis) }

    /// - Parameter folder: another than the plan's own.
    func postgres(in folder: String? = nil) throws(CLIError) -> PostgresStore {
        let folder = folder ?? postgresFolder
        let programs = try Programs.postgresFolder(environment: caller, data: PostgresStore.data(in: folder))
        return PostgresStore(
            folder: folder, port: ports.postgres, password: secrets.postgres, adminPassword: secrets.postgresAdmin,
            programs: programs, account: isRoot ? PostgresPlace.account : nil, connectionsMax: connectionsMax
        )
    }

    /// The largest of the services' pools, unless all are given another.
    static let poolUsual = 6
    /// For people, backups, migrations, and what Postgres keeps for its superuser.
    static let connectionsSpare = 30

    /// How many connections the services take, which they do when they start: a pool and one more for each orchestrator
    /// and the four others, and for the second of one service that an upgrade runs.
    var connectionsMax: Int {
        var pool = Self.poolUsual
        // Services refuse any other.
        if let given = options.environment["GOLDEN_POOL_SIZE"].flatMap({ Int($0) }), (2...64).contains(given) {
            pool = given
        }
        return max(PostgresStore.connectionsMin, Self.connectionsSpare + (options.orchestrators + 5) * (pool + 1))
    }

    /// What every process gets: a few of the caller's variables and those given by --env.
    var baseEnvironment: [String: String] {
        var environment = caller.filter { Self.inherited.contains($0.key) }
        let own = environment["PATH"].map { [$0] } ?? []
        environment["PATH"] = (own + Programs.systemFolders).joined(separator: ":")
        environment["GLIBC_TUNABLES"] = Self.allocatorSettings
        for path in Self.inheritedPaths { environment[path] = environment[path].map(Sibling.absolute) }
        return environment
    }

    /// Where the stores are and how to enter them. Agents get the bus alone.
    var busEnvironment: [String: String] {
        [
            "GOLDEN_NATS_URL": StoreAddresses.natsServers(ports, login: ""), "GOLDEN_NATS_USER": NATSStore.user,
            "GOLDEN_NATS_PASSWORD": secrets.nats, "GOLDEN_NATS_REPLICAS": "\(ports.natsServers.count)",
        ]
    }

    /// The environment of `orchestrator serve`, `migrate` and `jetstream`.
    func orchestratorEnvironment(index: Int) throws(CLIError) -> [String: String] {
        let connections = StoreAddresses(ports: ports, secrets: secrets)
        var environment = baseEnvironment.merging(busEnvironment) { $1 }
        environment["GOLDEN_POSTGRES_URL"] = connections.postgres
        environment["GOLDEN_REDIS_URL"] = connections.redis
        environment["GOLDEN_HTTP_HOST"] = "127.0.0.1"
        environment["GOLDEN_HTTP_PORT"] = "\(ports.api + index)"
        environment["GOLDEN_JWT_SECRET"] = secrets.jwt
        environment["GOLDEN_MIGRATIONS"] = try Sibling.migrations(environment: caller)
        return environment.merging(options.environment) { $1 }
    }

    func orchestrator(_ index: Int) throws(CLIError) -> ProcessSpec {
        let address = "127.0.0.1:\(ports.api + index)"
        return ProcessSpec(
            name: "orchestrator-\(index + 1)", executable: try Sibling.path("orchestrator", environment: caller),
            arguments: ["serve"], environment: try orchestratorEnvironment(index: index), stopWithin: .seconds(35),
            address: address, probe: .http(url: "http://\(address)/ready"), port: ports.api + index
        )
    }

    func peerHub() throws(CLIError) -> ProcessSpec { try service("peer-hub") }

    func supervisor() throws(CLIError) -> ProcessSpec { try service("supervisor") }

    func dlqWorker() throws(CLIError) -> ProcessSpec { try service("dlq-worker") }

    /// One of a service that nobody calls, so it has any free port for its health; unless Prometheus has to find it.
    private func service(_ program: String) throws(CLIError) -> ProcessSpec {
        ProcessSpec(
            name: program, executable: try Sibling.path(program, environment: caller), arguments: ["serve"],
            environment: try orchestratorEnvironment(index: 0), stopWithin: .seconds(35),
            probe: .alive(.milliseconds(300)), port: ports.observability?.port(of: program) ?? 0
        )
    }

    static let sandboxName = "sandbox-executor"

    /// The sandbox executor, where it was built. It answers for its health once it has found out whether the host can
    /// sandbox; the stack goes on without one that cannot.
    func sandbox() throws(CLIError) -> ProcessSpec? {
        guard let port = ports.sandbox else { return nil }
        guard let program = optional(Self.sandboxName) else { return nil }
        return ProcessSpec(
            name: Self.sandboxName, executable: program, arguments: ["serve"],
            environment: try orchestratorEnvironment(index: 0), stopWithin: .seconds(35), isOptional: true,
            probe: .alive(.milliseconds(300)), port: port, readyPath: "/health"
        )
    }

    /// The echo agent for `developer`, unless a command was given for that role, and one agent for each command. They
    /// are numbered by their roles, so that no two have one name.
    func agents() throws(CLIError) -> [ProcessSpec] {
        let program = try Sibling.path("agent-worker", environment: caller)
        var environment = baseEnvironment.merging(busEnvironment) { $1 }.merging(options.environment) { $1 }
        // Its health is asked for on the socket that it is given.
        environment["GOLDEN_HTTP_PORT"] = "0"
        var wanted: [(StackOptions.Agent, [String])] = options.agents.map { agent in
            // The worker shows its program only the variables it is told to.
            let visible = options.environment.keys.sorted().flatMap { ["--env", $0] }
            return (agent, ["--backend", "command"] + visible + ["--", "sh", "-c", agent.command])
        }
        if !options.agents.contains(where: { $0.role == Self.echoRole }) {
            wanted.insert((StackOptions.Agent(role: Self.echoRole, command: ""), ["--backend", "echo"]), at: 0)
        }
        var counts: [String: Int] = [:]
        return wanted.map { agent, backend in
            counts[agent.role, default: 0] += 1
            return self.agent("\(agent.role)-\(counts[agent.role, default: 1])", agent, backend, program, environment)
        }
    }

    static let echoRole = "developer"

    private func agent(
        _ id: String, _ agent: StackOptions.Agent, _ backend: [String], _ program: String,
        _ environment: [String: String]
    ) -> ProcessSpec {
        let identity = ["--id", id, "--role", agent.role, "--slots", "\(options.slots)", "--owner", agent.owner]
        return ProcessSpec(
            name: "agent-\(id)", executable: program, arguments: identity + backend, environment: environment,
            folder: options.workFolder, stopWithin: .seconds(35),
            probe: .alive(.milliseconds(300)), port: 0
        )
    }
}

/// The stores' connection strings.
struct StoreAddresses: Sendable, Equatable {
    let postgres: String
    let nats: String
    let redis: String

    /// - Parameter secrets: nil leaves the passwords out.
    init(ports: StackRecord.Ports, secrets: StackSecrets?) {
        func login(_ user: String, _ password: String?) -> String { password.map { "\(user):\($0)@" } ?? "\(user)@" }
        postgres =
            "postgresql://\(login(PostgresStore.role, secrets?.postgres))\(Self.hosts(ports.postgresServers))/"
            + PostgresStore.database + (ports.cluster == nil ? "" : "?target_session_attrs=read-write")
        nats = Self.natsServers(ports, login: login(NATSStore.user, secrets?.nats))
        redis = "redis://\(secrets.map { ":\($0.redis)@" } ?? "")\(Self.hosts(ports.redisServers))/0"
    }

    static func natsServers(_ ports: StackRecord.Ports, login: String) -> String {
        ports.natsServers.map { "nats://\(login)127.0.0.1:\($0)" }.joined(separator: ",")
    }

    private static func hosts(_ ports: [Int]) -> String { ports.map { "127.0.0.1:\($0)" }.joined(separator: ",") }
}
