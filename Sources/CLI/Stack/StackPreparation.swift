internal import FoundationEssentials
internal import Glibc

/// What must be settled before the first process starts: secrets, ports, places, and no leftovers of an earlier run.
struct StackPreparation: Sendable {
    static let portDefault = 8080

    var options: StackOptions
    let environment: [String: String]
    /// A backup's, for a stack that is being made of it: then nothing is written into the folder yet, and the stack
    /// there may be of either kind.
    var restored: StackSecrets?

    /// Returns the plan and the first record of this run. The caller holds the folder's lock.
    func prepare() async throws(CLIError) -> (plan: StackPlan, record: StackRecord) {
        if options.isAsLastTime {
            var recalled = self
            recalled.options = try StackSettings.recalled(options)
            return try await recalled.prepare()
        }
        let folder = options.folder
        let last = try StackRecord.load(from: folder)
        // In a copied folder the database is the copy's own; name and stores' ports are those of the stack copied.
        let own = last.flatMap { $0.isOf(folder) ? $0 : nil }
        if let last { try await Leftovers(record: last).end(report: { _ in }) }
        let secrets: StackSecrets
        if let restored {
            secrets = restored
        } else if let kept = try StackSecrets.load(from: folder) {
            secrets = kept
        } else {
            secrets = StackSecrets.generate()
            try secrets.save(to: folder)
        }
        let id = own?.id ?? "\(UUID())".lowercased()
        let isRoot = geteuid() == 0
        let place = PostgresPlace(
            stack: folder, id: id, isRoot: isRoot, environment: toolEnvironment
        )
        let postgresFolder = try await place.prepare(
            recorded: last?.postgresFolder, isRestored: restored != nil)
        if restored == nil { try requireWholeRestore(postgresFolder) }
        if restored == nil, let last, (last.ports.cluster != nil) != options.isCluster { throw otherKind(last) }
        let ports = try choosePorts(own?.ports, api: last?.ports.api)
        let record = StackRecord(
            id: id, home: FolderIdentity(of: folder.path), state: .starting, note: "starting",
            supervisor: ProcessIdentity.current, ports: ports, postgresFolder: postgresFolder, processes: []
        )
        if restored == nil {
            try record.save(to: folder)
            try StackEnvironment.save(options.environment, to: folder)
        }
        let plan = StackPlan(
            options: options, ports: ports, secrets: secrets, postgresFolder: postgresFolder, caller: environment,
            isRoot: isRoot
        )
        return (plan, record)
    }

    /// While both are there, the old database and the restored one, a restore was killed between the two.
    private func requireWholeRestore(_ postgresFolder: String) throws(CLIError) {
        let halves = [StackRestore.freshName, PostgresStore.replacedName].map { "\(postgresFolder)/\($0)" }
        guard halves.allSatisfy({ FileManager.default.fileExists(atPath: $0) }) else { return }
        throw CLIError(
            .folderUnusable, "A golden restore was cut short while it replaced the stack in \(options.folder.path).",
            kept: "The backup, and the database before it in \(halves[1]).",
            next: "golden restore BACKUP --replace --data \(options.folder.path)"
        )
    }

    private var toolEnvironment: [String: String] {
        ["PATH": ([environment["PATH"]].compactMap(\.self) + Programs.systemFolders).joined(separator: ":")]
    }

    /// The API's ports must be exactly those asked for; the stores' move when somebody took them meanwhile. A stack
    /// that is restored starts no API yet.
    private func choosePorts(
        _ last: StackRecord.Ports?, api lastAPI: Int?
    ) throws(CLIError) -> StackRecord.Ports {
        var taken: Set<Int> = []
        func keep(_ port: Int?) throws(CLIError) -> Int {
            let chosen: Int
            if let port, !taken.contains(port), Ports.isFree(port) {
                chosen = port
            } else {
                chosen = try Ports.free(notIn: taken)
            }
            taken.insert(chosen)
            return chosen
        }
        let api = try chooseAPI(lastAPI)
        for index in 0..<options.orchestrators { taken.insert(api + index) }
        if options.isCluster {
            var first = 0
            if let kept = last?.cluster, ClusterPorts(first: kept).areFree {
                first = kept
            } else {
                first = try Ports.free(ClusterPorts.count, notIn: taken)
            }
            let cluster = ClusterPorts(first: first)
            taken.formUnion(cluster.all)
            return StackRecord.Ports(
                api: api, nats: cluster.nats[0], redis: cluster.redis[0], postgres: cluster.postgres[0],
                sandbox: try keep(last?.sandbox), cluster: first
            )
        }
        return StackRecord.Ports(
            api: api, nats: try keep(last?.nats), redis: try keep(last?.redis), postgres: try keep(last?.postgres),
            sandbox: try keep(last?.sandbox),
            observability: options.observability == nil
                ? nil : try Observability.Ports(last: last?.observability, keep: keep)
        )
    }

    private func otherKind(_ last: StackRecord) -> CLIError {
        let isCluster = last.ports.cluster != nil
        return CLIError(
            .folderUnusable, "The stack in \(options.folder.path) is \(isCluster ? "a cluster" : "no cluster").",
            kept: "Nothing was started.",
            next: isCluster ? "Add --cluster, or choose another --data DIR." : "Choose another --data DIR for it."
        )
    }

    private func chooseAPI(_ last: Int?) throws(CLIError) -> Int {
        let wanted = options.port ?? last ?? Self.portDefault
        if wanted == 0 { return try Ports.free(options.orchestrators, notIn: []) }
        for port in wanted..<(wanted + options.orchestrators) where restored == nil && !Ports.isFree(port) {
            throw CLIError(
                .portTaken, "Port \(port) is taken by another program.", kept: "Nothing was started.",
                next: "Choose another: golden up --port N (0 takes any free one)."
            )
        }
        return wanted
    }
}
