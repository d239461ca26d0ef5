public import Foundation

/// A private Postgres server on loopback: its own data folder, a generated password (scram), started as the user
/// `postgres` when the test runs as root. Killed, and its folder removed, when the test process ends.
public final class TestPostgres: @unchecked Sendable {
    public let port: Int
    public let user = "golden"
    public let password: String
    public let folder: URL
    private let server: ServerProcess
    private let lock = NSLock()
    private var databases = 0

    /// One server for all tests that neither stop nor pause it. Use `freshDatabase()` on it.
    public static func shared() async throws -> TestPostgres {
        if let server = sharedLock.withLock({ startedServer }) { return server }
        return try await blocking {
            let server = try sharedServer.get()
            sharedLock.withLock { startedServer = server }
            return server
        }
    }

    private static let sharedLock = NSLock()
    /// Set once the shared server is up, so that asking for it again does not wait for a thread.
    nonisolated(unsafe) private static var startedServer: TestPostgres?
    private static let sharedServer = Result { try TestPostgres(settings: [:], files: [:], access: passwordAccess) }
    /// initdb takes a second; its result is copied for every server after the first.
    private static let template = Result { try initialised() }

    /// - Parameters:
    ///   - settings: further lines of `postgresql.conf`.
    ///   - files: copied into the data folder, readable by the server alone (certificates and keys).
    ///   - access: lines of `pg_hba.conf`, first match first; by default every loopback address with a password.
    public static func started(
        settings: [String: String] = [:], files: [String: URL] = [:], access: String = passwordAccess
    ) async throws -> TestPostgres {
        try await blocking { try TestPostgres(settings: settings, files: files, access: access) }
    }

    public static let passwordAccess = "host all all 127.0.0.1/32 scram-sha-256"

    private init(settings: [String: String], files: [String: URL], access: String) throws {
        let template = try Self.template.get()
        password = template.password
        port = freePort()
        folder = try temporaryFolder("postgres")
        let data = folder.appending(path: "data")
        try Self.run("/bin/cp", ["-a", template.folder.path, data.path])
        for (name, file) in files {
            let place = data.appending(path: name).path
            try Self.run("/bin/cp", [file.path, place])
            try Self.run("/bin/chmod", ["600", place])
            if getuid() == 0 { try Self.run("/bin/chown", ["postgres:postgres", place]) }
        }
        try Self.write(access + "\n", to: data.appending(path: "pg_hba.conf"))
        let all = Self.settings.merging(["port": "\(port)"]) { $1 }.merging(settings) { $1 }
        let lines = all.map { "\($0.key) = '\($0.value)'\n" }.joined()
        try Self.write(lines, to: data.appending(path: "postgresql.conf"))
        server = ServerProcess(
            try Self.binary("postgres"), ["-D", data.path], user: "postgres", logFile: folder.appending(path: "log")
        )
        removeAtExit(folder)
        try startAndWait()
    }

    deinit {
        killAll()
        // A folder left behind is only untidy: the test has its result already.
        try? FileManager.default.removeItem(at: folder)
    }

    private static let settings = [
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "full_page_writes": "off",
        "max_connections": "800", "shared_buffers": "64MB", "max_wal_size": "256MB", "autovacuum_naptime": "10min",
        "log_min_messages": "warning", "restart_after_crash": "on",
    ]

    /// A libpq connection string.
    public func connectionString(database: String = "postgres", _ more: String = "") -> String {
        "host=127.0.0.1 port=\(port) user=\(user) password=\(password) dbname=\(database) \(more)"
    }

    /// Creates an empty database (or a copy of `template`, which nobody may be using) and answers its name.
    public func freshDatabase(template: String = "template0") async throws -> String {
        let name = lock.withLock {
            databases += 1
            return "test\(databases)"
        }
        try await sql("CREATE DATABASE \(name) TEMPLATE \(template)")
        return name
    }

    /// Runs statements with psql, for what a test does behind the driver's back. Answers unaligned rows.
    @discardableResult
    public func sql(_ text: String, database: String = "postgres") async throws -> String {
        try await blocking { try self.psql(text, database: database) }
    }

    /// Starts it again, and returns when it answers queries.
    public func start() async throws { try await blocking { try self.startAndWait() } }

    /// SIGKILL for the server and every backend: what a crash of the machine's software looks like.
    public func crash() async throws { try await blocking { self.killAll() } }

    /// A fast shutdown: sessions are ended, what they committed is kept.
    public func stop() async throws {
        try await blocking {
            if let pid = self.server.pid { kill(pid, SIGINT) }
            self.server.terminate()
        }
    }

    /// SIGSTOP for the server and every backend: sockets stay open and nothing answers.
    public func pause() {
        guard let pid = server.pid else { return }
        server.pause()
        for child in children(of: pid) { kill(child, SIGSTOP) }
    }

    public func resume() {
        guard let pid = server.pid else { return }
        for child in children(of: pid) { kill(child, SIGCONT) }
        server.resume()
    }

    private func startAndWait() throws {
        try server.start(within: .seconds(60)) { (try? psql("SELECT 1", database: "postgres")) != nil }
    }

    private func killAll() {
        killBackends()
        server.kill()
    }

    private func killBackends() {
        guard let pid = server.pid else { return }
        kill(pid, SIGSTOP)
        for child in children(of: pid) { kill(child, SIGKILL) }
    }

    /// A background writer whose files are gone tries again for ever, and never sees that its server has ended.
    fileprivate static func killSharedBackends() { startedServer?.killBackends() }

    private func psql(_ text: String, database: String) throws -> String {
        try Self.run(
            try Self.binary("psql"), ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", text],
            environment: [
                "PGHOST": "127.0.0.1", "PGPORT": "\(port)", "PGUSER": user, "PGPASSWORD": password,
                "PGDATABASE": database, "PGCONNECT_TIMEOUT": "30",
            ]
        )
    }

    private static func initialised() throws -> (folder: URL, password: String) {
        let folder = try temporaryFolder("postgres-template")
        removeAtExit(folder)
        let password = UUID().uuidString
        let secret = folder.appending(path: "password")
        try write(password, to: secret)
        let data = folder.appending(path: "data")
        try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
        if getuid() == 0 { try run("/bin/chown", ["-R", "postgres:postgres", folder.path]) }
        try run(
            try binary("initdb"),
            [
                "-D", data.path, "-U", "golden", "--auth=scram-sha-256", "--pwfile=\(secret.path)", "-E", "UTF8",
                "--locale=C.UTF-8", "--no-sync",
            ],
            asServerUser: true
        )
        return (data, password)
    }

    private static func write(_ text: String, to file: URL) throws {
        try Data(text.utf8).write(to: file)
        if getuid() == 0, FileManager.default.fileExists(atPath: file.path) {
            try run("/bin/chown", ["postgres:postgres", file.path])
        }
    }

    /// The newest installed server's program of that name.
    private static func binary(_ name: String) throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let found = versions.compactMap { Int($0) }.sorted().reversed().map { "\(root)/\($0)/bin/\(name)" }
        guard let path = found.first(where: FileManager.default.isExecutableFile(atPath:)) else {
            throw ServerProcess.Failure(description: "Postgres' \(name) is not installed.")
        }
        return path
    }

    @discardableResult
    private static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], asServerUser: Bool = false
    ) throws -> String {
        let process = Process()
        let drops = asServerUser && getuid() == 0
        process.executableURL = URL(filePath: drops ? "/usr/bin/setpriv" : program)
        process.arguments =
            (drops ? ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", program] : []) + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.currentDirectoryURL = FileManager.default.temporaryDirectory
        let text = try Spawner.shared.output(of: process)
        guard process.terminationStatus == 0 else {
            throw ServerProcess.Failure(description: "\(program) failed:\n\(text.suffix(2000))")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// The processes whose parent is `pid`.
private func children(of pid: Int32) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.filter { child in
        guard let text = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return false }
        let fields = text[end...].split(separator: " ")
        return fields.count > 2 && Int32(fields[2]) == pid
    }
}

private let foldersLock = NSLock()
nonisolated(unsafe) private var foldersToRemove: [URL] = []

/// Removes the folder when the test process ends; a shared server is never deinitialised.
private func removeAtExit(_ folder: URL) {
    foldersLock.withLock {
        if foldersToRemove.isEmpty {
            atexit {
                TestPostgres.killSharedBackends()
                for folder in foldersToRemove { try? FileManager.default.removeItem(at: folder) }
            }
        }
        foldersToRemove.append(folder)
    }
}
