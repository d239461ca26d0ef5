internal import FoundationEssentials

/// The data folder of one embedded stack and where everything in it lies.
///
/// ```
/// .golden/            0700 (0711 when root hands postgres/ to the postgres account)
///   lock              held by the supervisor while it runs
///   stack.json        ports, processes, state
///   secrets.json      0600: generated passwords and the JWT secret
///   environment.json  0600: what --env gave the stack that runs
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
    var parts: [String] { [record, secrets, postgresLink, logs, lock] + derived }

    /// Those that a stack makes anew of its database and its command line.
    var derived: [String] {
        [nats, redis, environment, observability, upgradeRequest, upgradeReport, upgradeLock]
    }

    /// Where a process that follows another says that it serves.
    func handover(of process: String) -> String { "\(logs)/\(process).handover" }

    func log(of process: String) -> String { "\(logs)/\(process).log" }

    var exists: Bool { FileManager.default.fileExists(atPath: record) }

    /// Creates the folder and its parts, private to the account that runs the stack.
    ///
    /// A folder that holds other things is refused. One that holds a stack keeps its mode: its database may need it.
    func create() throws(CLIError) {
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
        let own = Set(parts + [record, secrets, environment].map { "\($0).new" })
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
    static func write(_ text: String, to path: String) throws(CLIError) {
        let fresh = "\(path).new"
        do {
            try remove(fresh)
            guard
                FileManager.default.createFile(
                    atPath: fresh, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]
                )
            else {
                throw CLIError(.folderUnusable, "Cannot write \(fresh): \(systemError()).")
            }
            try FileManager.default.moveReplacing(fresh, path)
        } catch let error as CLIError {
            throw error
        } catch {
            throw CLIError(.folderUnusable, "Cannot write \(path).", underlying: error)
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
