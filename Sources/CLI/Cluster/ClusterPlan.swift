internal import FoundationEssentials

/// The stores of `golden up --cluster`: three NATS servers with three copies of each stream, a Redis master and its
/// replica under three sentinels, a Postgres primary and its synchronous standby. Any one of them may be lost.
///
/// All run on this machine, so it is the servers' loss that is survived, not the machine's.
struct ClusterPlan: Sendable {
    /// How long three servers may take to agree on a leader.
    static let electionMax: Duration = .seconds(60)
    static let electionPoll: Duration = .milliseconds(500)
    /// A server that ended is started again only after the others have seen that it is gone.
    static let restartAfter: Duration = .seconds(5)
    /// In the database's folder: the second server's, and which of the two is primary.
    static let secondName = "second"
    static let primaryName = "primary"

    let plan: StackPlan
    let ports: ClusterPorts

    func nats() throws(CLIError) -> [NATSStore] {
        let routes = ports.routes.map { "\"nats://\(NATSStore.user):\(plan.secrets.nats)@127.0.0.1:\($0)\"" }
        return try ports.nats.indices.map { index throws(CLIError) in
            let name = "nats-\(index + 1)"
            var store = NATSStore(
                folder: try folder(plan.options.folder.nats, name), port: ports.nats[index],
                password: plan.secrets.nats, name: name
            )
            // Clients know every server from their settings, and reach them by those addresses alone.
            store.cluster = """
                cluster {
                  name: golden
                  listen: "127.0.0.1:\(ports.routes[index])"
                  no_advertise: true
                  authorization { user: \(NATSStore.user), password: "\(plan.secrets.nats)" }
                  routes: [\(routes.joined(separator: ", "))]
                }
                """
            return store
        }
    }

    func redis() throws(CLIError) -> [RedisStore] {
        try ports.redis.indices.map { index throws(CLIError) in
            let name = "redis-\(index + 1)"
            return RedisStore(
                folder: try folder(plan.options.folder.redis, name), port: ports.redis[index],
                password: plan.secrets.redis, name: name, master: index == 0 ? nil : ports.redis[0]
            )
        }
    }

    func sentinels() throws(CLIError) -> [RedisSentinel] {
        try ports.sentinels.indices.map { index throws(CLIError) in
            let name = "sentinel-\(index + 1)"
            return RedisSentinel(
                name: name, folder: try folder(plan.options.folder.redis, name), port: ports.sentinels[index],
                password: plan.secrets.redis, master: ports.redis[0]
            )
        }
    }

    /// A Redis server as it is run: one that comes back asks the sentinels first whose replica it is by now.
    func spec(_ store: RedisStore, executable: String, environment: [String: String]) -> ProcessSpec {
        var spec = store.spec(executable: executable, environment: environment)
        spec.restartAfter = Self.restartAfter
        spec.prepare = { [ports] isFirst throws(CLIError) in
            if isFirst { return }
            let master = RedisSentinel.master(of: ports.redis, sentinels: ports.sentinels, password: store.password)
            var store = store
            store.master = master.flatMap { $0 == store.port ? nil : $0 }
            try store.prepare()
        }
        return spec
    }

    func postgres() throws(CLIError) -> [PostgresStore] {
        let first = try plan.postgres()
        let second = PostgresStore(
            folder: "\(first.folder)/\(Self.secondName)", port: ports.postgres[1], password: first.password,
            adminPassword: first.adminPassword, programs: first.programs, account: first.account,
            connectionsMax: first.connectionsMax
        )
        return [first, second]
    }

    private func folder(_ parent: String, _ name: String) throws(CLIError) -> String {
        let path = "\(parent)/\(name)"
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw CLIError(.folderUnusable, "Cannot create \(path).", underlying: error)
        }
        return path
    }
}

extension Supervisor {
    /// In place of one server of each kind.
    func clusterStores() throws(CLIError) -> Batch {
        guard let first = plan.ports.cluster else {
            throw CLIError(.processFailed, "The record of this stack names no ports of a cluster.")
        }
        let cluster = ClusterPlan(plan: plan, ports: ClusterPorts(first: first))
        let environment = plan.baseEnvironment
        let natsProgram = try Programs.require("nats-server", package: "nats-server", environment: plan.caller)
        let redisProgram = try Programs.require("redis-server", package: "redis-server", environment: plan.caller)
        var early: [ProcessSpec] = []
        for store in try cluster.nats() {
            try store.prepare()
            var spec = store.spec(executable: natsProgram, environment: environment)
            spec.restartAfter = ClusterPlan.restartAfter
            early.append(spec)
        }
        for store in try cluster.redis() {
            try store.prepare()
            early.append(cluster.spec(store, executable: redisProgram, environment: environment))
        }
        for sentinel in try cluster.sentinels() {
            try sentinel.prepare()
            early.append(sentinel.spec(executable: redisProgram, environment: environment))
        }
        let servers = try cluster.postgres()
        let pair = PostgresPair(
            servers, recordFile: "\(servers[0].folder)/\(ClusterPlan.primaryName)", environment: environment,
            report: { [journal] words in await journal.update { $0.note = words } }
        )
        return Batch(
            early: early,
            meanwhile: {
                if !servers[0].isInitialised { await step("creating the database") }
                try await servers[0].initialise(environment: environment)
                await step("starting three nats, two redis with three sentinels, two postgres")
            },
            late: servers.indices.map { index in
                var spec = servers[index].spec(name: "postgres-\(index + 1)", environment: environment)
                spec.readyWithin = .seconds(90)
                spec.prepare = { isFirst throws(CLIError) in try await pair.prepare(index, isFirst: isFirst) }
                return spec
            },
            companion: { await pair.watch(until: $0) }
        )
    }
}
