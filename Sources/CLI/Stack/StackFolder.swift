internal import FoundationEssentials
internal import Glibc

/// The data folder of one embedded stack and where everything in it lies.
///
/// ```
/// .golden/            0700 (0711 when root hands postgres/ to the postgres account)
///   lock              held by the supervisor while it runs
///   stack.json        ports, processes, state
///   secrets.json      0600: generated passwords and the JWT secret
///   environment.json  0600: what --env gave the stack that runs
///   settings.json     0600: what a golden up without such options takes of the last that came up
///   logs/<process>.log and .log.1
///   postgres/ nats/ redis/
///   upgrade.*         what golden upgrade asked for and was told
///   observability/    with --observability: rules and data of Prometheus and Alertmanager
/// ```
struct StackFolder: Sendable, Equatable {
    static let nameDefault = ".golden"

    /// Absolute, without a slash at the end.
    let path: String

    /// - Parameter path: relative paths start at the current folder.
    init(_ path: String) {
        let absolute = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
        self.path = Self.normal(absolute)
    }

    var lock: String { "\(path)/lock" }
    var record: String { "\(path)/stack.json" }
    var secrets: String { "\(path)/secrets.json" }
    var environment: String { "\(path)/environment.json" }
    var settings: String { "\(path)/settings.json" }
    var logs: String { "\(path)/logs" }
    var nats: String { "\(path)/nats" }
    var redis: String { "\(path)/redis" }
    var observability: String { "\(path)/observability" }
    var upgradeRequest: String { "\(path)/upgrade.json" }
    var upgradeReport: String { "\(path)/upgrade.jsonl" }
    var upgradeLock: String { "\(path)/upgrade.lock" }
    var postgresLink: String { "\(path)/postgres" }

    /// What a stack is of no use without, and what it would lose: its database and the secrets to it.
    var holdsStack: Bool {
        exists || [secrets, postgresLink].contains { FileManager.default.fileExists(atPath: $0) }
    }

    /// All that `create` and the stack put there.
    var parts: [String] { [record, secrets, environment, settings, postgresLink, logs, lock] + derived }

    /// Those that a stack makes anew of its database.
    var derived: [String] { [nats, redis, observability, upgradeRequest, upgradeReport, upgradeLock] }

    /// Where a process that follows another says that it serves.
    func handover(of process: String) -> String { "\(logs)/\(process).handover" }

    func log(of process: String) -> String { "\(logs)/\(process).log" }

    var exists: Bool { FileManager.default.fileExists(atPath: record) }

    /// Every command that changes a stack is for the account that started it: what another wrote would be closed to it.
    /// - Throws: when that is not this account.
    func requireOwner() throws(CLIError) {
        guard let owner, owner != geteuid() else { return }
        var name = "#\(owner)"
        if let account = getpwuid(owner) { name = String(cString: account.pointee.pw_name) }
        throw CLIError(
            .folderUnusable, "\(path) belongs to \(name).", kept: "Nothing was changed.",
            next: "sudo -u \(name) golden …   Or choose another with --data DIR."
        )
    }

    /// The account whose stack is here; nil where there is none.
    private var owner: uid_t? {
        var information = stat()
        for file in [record, secrets] where stat(file, &information) == 0 { return information.st_uid }
        // Closed to this account, which sees nothing of what is in it.
        guard errno == EACCES, stat(path, &information) == 0 else { return nil }
        return information.st_uid
    }

    /// Creates the folder and its parts, private to the account that runs the stack.
    ///
    /// A folder that holds other things is refused. One that holds a stack keeps its mode: its database may need it.
    func create() throws(CLIError) {
        try requireOwner()
        do {
            if !exists { try take() }
            for folder in [logs, nats, redis] { try Self.make(folder) }
        } catch let error as CLIError {
            throw error
        } catch {
            throw CLIError(
                .folderUnusable, "The data folder \(path) cannot be created.",
                next: "Choose another with --data DIR.", underlying: error
            )
        }
    }

    private func take() throws {
        try Self.make(path)
        let own = Set(parts + [record, secrets, environment, settings].map { "\($0).new" })
        let strangers = try FileManager.default.contentsOfDirectory(atPath: path)
            .filter { !own.contains("\(path)/\($0)") }
        guard strangers.isEmpty else {
            throw CLIError(
                .folderUnusable, "\(path) holds other things than a stack.", kept: "Nothing was changed there.",
                next: "Choose another with --data DIR, such as \(path)/\(Self.nameDefault)."
            )
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
    }

    private static func make(_ path: String) throws {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
        )
    }

    /// Removes what `create` and the stack put there, and the folder when nothing else is in it.
    func delete() throws(CLIError) {
        for entry in parts { try Self.remove(entry) }
        do {
            if try FileManager.default.contentsOfDirectory(atPath: path).isEmpty { try Self.remove(path) }
        } catch {
            throw CLIError(.folderUnusable, "Cannot list \(path).", underlying: error)
        }
    }

    /// Removes a file, link or folder; nothing there is fine.
    static func remove(_ path: String) throws(CLIError) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch let error as CocoaError where error.code == .fileNoSuchFile {
            return
        } catch {
            throw CLIError(.folderUnusable, "Cannot remove \(path).", underlying: error)
        }
    }

    /// Writes the whole file or nothing, readable by this account only.
    /// - Parameter isSynced: on disk when this returns, whatever becomes of the machine.
    static func write(_ text: String, to path: String, isSynced: Bool = false) throws(CLIError) {
        let fresh = "\(path).new"
        try remove(fresh)
        if let number = FileHandles.create(fresh, Array(text.utf8), isSynced: isSynced) {
            throw CLIError(.folderUnusable, "Cannot write \(fresh): \(String(cString: strerror(number))).")
        }
        try FileManager.default.moveReplacing(fresh, path)
        if isSynced, let number = FileHandles.syncFolder(Sibling.parent(of: path)) {
            throw CLIError(.folderUnusable, "Cannot write \(path): \(String(cString: strerror(number))).")
        }
    }

    private static func normal(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
