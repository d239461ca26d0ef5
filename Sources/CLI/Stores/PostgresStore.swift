internal import FoundationEssentials

/// The stack's private database: one cluster, the role and database `golden`, TCP on loopback only.
///
/// It listens on no Unix socket: their paths may not pass 107 bytes, which a deep data folder would.
struct PostgresStore: Sendable {
    static let role = "golden"
    static let database = "golden"
    static let connectionsMin = 100
    /// Lies beside the cluster once that is complete.
    static let markerName = "initialised"
    /// Where the files of a cluster are that is being replaced.
    static let replacedName = "replaced"

    /// Holds `data/` and nothing else that lasts.
    var folder: String
    let port: Int
    let password: String
    let adminPassword: String
    /// Where initdb and postgres lie.
    let programs: String
    /// Runs the database when the supervisor is root, which postgres refuses to be run by.
    let account: String?
    var connectionsMax = Self.connectionsMin

    var data: String { Self.data(in: folder) }
    /// Written by `seal`, last of all, so that a first start that was cut short is begun anew.
    var isInitialised: Bool { FileManager.default.fileExists(atPath: marker) }
    private var marker: String { "\(folder)/\(Self.markerName)" }

    /// The cluster's own folder.
    static func data(in folder: String) -> String { "\(folder)/data" }

    /// Makes the folder, for the account that runs the server.
    func makeFolder(environment: [String: String]) async throws(CLIError) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw CLIError(.folderUnusable, "Cannot create \(folder).", underlying: error)
        }
        try await hand(folder, environment)
    }

    /// Creates the cluster, its role and its database, once.
    func initialise(environment: [String: String]) async throws(CLIError) {
        guard !isInitialised else { return }
        try StackFolder.remove(data)
        let passwordFile = "\(folder)/initdb.password"
        try StackFolder.write(adminPassword + "\n", to: passwordFile)
        try await hand(passwordFile, environment)
        let created = await asAccount(
            [
                "\(programs)/initdb", "--pgdata", data, "--username", "postgres", "--auth", "scram-sha-256",
                "--pwfile", passwordFile, "--encoding", "UTF8", "--locale", "C.UTF-8", "--lc-collate", "C",
                "--no-sync",
            ], input: "", environment
        )
        try StackFolder.remove(passwordFile)
        try created.check("initdb", "The database could not be created.")
        let statements = """
            CREATE ROLE \(Self.role) LOGIN PASSWORD '\(password)';
            CREATE DATABASE \(Self.database) OWNER \(Self.role);

            """
        let filled = await asAccount(
            ["\(programs)/postgres", "--single", "-F", "-D", data, "postgres"], input: statements,
            environment
        )
        try filled.check("postgres --single", "The database's role could not be created.")
    }

    /// Forces the new cluster's files to disk, which `initialise` leaves undone so that the server can start meanwhile.
    func seal(environment: [String: String]) async throws(CLIError) {
        guard !isInitialised else { return }
        let synced = await asAccount(
            ["\(programs)/initdb", "--sync-only", "--pgdata", data], input: "", environment, within: Tool.wholeDataMax
        )
        try synced.check("initdb --sync-only", "The database could not be written to disk.")
        try StackFolder.write("", to: marker, isSynced: true)
    }

    /// Takes another cluster's files in place of its own, which are there until `removeReplaced`. Both servers have
    /// ended; the other is sealed.
    func replaceData(by other: PostgresStore) throws(CLIError) {
        let files = FileManager.default
        try removeReplaced()
        let before = "\(folder)/\(Self.replacedName)"
        let hasData = files.fileExists(atPath: data)
        if hasData { try files.moveReplacing(data, before) }
        do throws(CLIError) {
            try files.moveReplacing(other.data, data)
        } catch {
            if hasData { try files.moveReplacing(before, data) }
            throw error
        }
        try StackFolder.write("", to: marker, isSynced: true)
    }

    func removeReplaced() throws(CLIError) { try StackFolder.remove("\(folder)/\(Self.replacedName)") }

    func spec(name: String = "postgres", environment: [String: String]) -> ProcessSpec {
        let settings = [
            "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=",
            "max_connections=\(connectionsMax)", "synchronous_commit=on", "log_line_prefix=%m [%p] ",
            "timezone=UTC", "log_timezone=UTC",
        ]
        return ProcessSpec(
            name: name, executable: "\(programs)/postgres",
            arguments: ["-D", data] + settings.flatMap { ["-c", $0] }, environment: environment, account: account,
            stopSignal: .interrupt, stopWithin: .seconds(20), readyWithin: .seconds(60), address: "127.0.0.1:\(port)",
            probe: .program(
                path: "\(programs)/pg_isready",
                arguments: [
                    "--quiet", "--host=127.0.0.1", "--port=\(port)", "--dbname=\(Self.database)", "--timeout=2",
                ]
            )
        )
    }

    func hand(_ file: String, _ environment: [String: String]) async throws(CLIError) {
        guard let account else { return }
        try await Tool.run(["chown", "\(account):", file], environment: environment).check(
            "chown", "Cannot give \(file) away.")
    }

    func asAccount(
        _ line: [String], input: String, _ environment: [String: String], within limit: Duration = Tool.runMax
    ) async -> Tool.Outcome {
        let change = account.map { ["--reuid", $0, "--regid", $0, "--init-groups"] } ?? []
        // A killed supervisor must not leave an initdb behind that writes into the next one's cluster.
        let prefix = ["setpriv", "--pdeathsig", "KILL"] + change
        return await Tool.run(prefix + line, input: input, environment: environment, within: limit)
    }
}
