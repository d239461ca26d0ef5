internal import Contracts

/// How the stack is right now: its record, checked against the processes themselves.
struct StackStatus: Sendable {
    enum Health: String, Sendable {
        case ready
        /// Runs, but its probe does not answer as it should.
        case unwell
        case starting, restarting
        case crashLooping = "crash_looping"
        case stopping
        /// The record says it runs and it does not.
        case gone

        var style: Console.Style {
            switch self {
            case .ready: .green
            case .starting, .restarting, .stopping: .yellow
            case .unwell, .crashLooping, .gone: .red
            }
        }
    }

    struct Process: Sendable {
        let record: StackRecord.Process
        let health: Health
        let uptimeSeconds: Double?
        /// The build that runs, as the process says; nil for the stores, and when it does not answer.
        var version: String?
        /// Why it is unwell, in its own words.
        var reasons: [String] = []

        /// The stack does its work without a sandbox, except for what is to be run in one.
        var isNeeded: Bool { ![StackPlan.sandboxName, Observability.gateName].contains(record.name) }
    }

    let folder: StackFolder
    let record: StackRecord
    let isSupervised: Bool
    let processes: [Process]

    var isHealthy: Bool {
        isSupervised && record.state == .ready && processes.allSatisfy { $0.health == .ready || !$0.isNeeded }
    }

    /// One word for the whole.
    var word: String {
        if !isSupervised, processes.contains(where: { $0.record.identity?.isRunning == true }) { return "orphaned" }
        if !isSupervised, record.state == .failed || record.state == .stopped { return record.state.rawValue }
        // The record still says that it runs: its supervisor was killed and took its processes along.
        if !isSupervised { return "lost" }
        return record.state == .ready && !isHealthy ? "degraded" : record.state.rawValue
    }

    /// Probes all processes at once.
    static func look(at record: StackRecord, folder: StackFolder) async -> StackStatus {
        let health = await withTaskGroup(of: (Int, Health).self) { group in
            for (index, process) in record.processes.enumerated() {
                group.addTask { (index, await self.health(of: process, record)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        var processes = record.processes.enumerated().map { index, process in
            Process(
                record: process, health: health[index] ?? .gone, uptimeSeconds: process.identity?.uptimeSeconds
            )
        }
        let answers = await withTaskGroup(of: (Int, SelfReport?).self) { group in
            for (index, process) in record.processes.enumerated() where process.isOurs {
                group.addTask { (index, await SelfReport(of: process)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for index in processes.indices {
            let answer = answers[index]
            processes[index].version = answer?.version
            guard processes[index].health == .unwell, !processes[index].isNeeded else { continue }
            processes[index].reasons = answer?.sandboxReasons ?? ["it does not answer"]
        }
        return StackStatus(
            folder: folder, record: record, isSupervised: record.supervisor?.isRunning == true, processes: processes
        )
    }

    private static func health(of process: StackRecord.Process, _ record: StackRecord) async -> Health {
        switch process.state {
        case .starting: return .starting
        case .restarting: return .restarting
        case .crashLooping: return .crashLooping
        case .stopping: return .stopping
        case .stopped: return .gone
        case .ready: break
        }
        guard process.identity?.isRunning == true else { return .gone }
        return await probe(process, record).check() ? .ready : .unwell
    }

    /// What one of Golden's own processes says at `/health`.
    private struct SelfReport: Sendable {
        let version: String
        /// Why the sandbox executor cannot sandbox.
        let sandboxReasons: [String]

        /// Nil when it does not answer.
        init?(of process: StackRecord.Process) async {
            guard let address = process.address else { return nil }
            do {
                var health = try JSONReader(try JSON(parsing: try await Probe.body(of: "http://\(address)/health")))
                version = try health.string("version")
                var sandbox = try health.optionalObject("sandbox")
                sandboxReasons = try sandbox?.optionalStrings("reasons") ?? []
            } catch {
                return nil
            }
        }
    }

    /// Without any password: a Redis that asks for one is alive.
    private static func probe(_ process: StackRecord.Process, _ record: StackRecord) -> Probe {
        switch process.name {
        case "nats": .exchange(port: record.ports.nats, request: "", answer: "INFO ")
        case "redis": .exchange(port: record.ports.redis, request: "PING\r\n", answer: "-NOAUTH")
        case "postgres": .accepts(port: record.ports.postgres)
        case Observability.prometheusName, Observability.alertmanagerName, Observability.dashboardsName:
            process.address.map(Observability.probe) ?? .alive(.zero)
        case let name where ClusterPorts.isServer(name): .accepts(port: ClusterPorts.port(in: process.address))
        default: process.address.map { .http(url: "http://\($0)/ready") } ?? .alive(.zero)
        }
    }

    /// - Parameter secrets: puts the passwords into the connection strings; nil leaves them out.
    func json(secrets: StackSecrets?) -> JSON {
        let addresses = StoreAddresses(ports: record.ports, secrets: secrets)
        return JSONWriter.object { writer in
            writer.field("state", word)
            writer.field("healthy", isHealthy)
            writer.field("note", record.note)
            writer.field("api", record.apiURL)
            writer.field("data", folder.path)
            writer.field("postgres_data", record.postgresFolder)
            writer.field("supervisor_pid", isSupervised ? Int(record.supervisor?.pid ?? 0) : 0)
            writer.field(
                "stores",
                object: { writer in
                    writer.field("postgres", addresses.postgres)
                    writer.field("nats", addresses.nats)
                    writer.field("redis", addresses.redis)
                })
            writer.field(
                "processes",
                array: { writer in
                    for process in processes { writer.element(object: process.write) }
                })
        }
    }
}

extension StackRecord.Process {
    /// One of Golden's own programs: it answers at `/health`.
    fileprivate var isOurs: Bool {
        let others = [
            "nats", "redis", "postgres", Observability.prometheusName, Observability.alertmanagerName,
            Observability.dashboardsName,
        ]
        return identity != nil && address != nil && !others.contains(name) && !ClusterPorts.isServer(name)
    }
}

extension StackStatus.Process {
    func write(to writer: inout JSONWriter) {
        writer.field("name", record.name)
        writer.field("health", health.rawValue)
        writer.field(ifPresent: "pid", record.identity.map { Int($0.pid) })
        writer.field(ifPresent: "address", record.address)
        writer.field(ifPresent: "version", version)
        writer.field(ifPresent: "uptime_seconds", uptimeSeconds.map { Int($0) })
        writer.field("restarts", record.restarts)
        writer.field(ifPresent: "last_exit", record.lastExit)
        writer.field("log", record.log)
        if !reasons.isEmpty { writer.field("reasons", reasons) }
    }
}
