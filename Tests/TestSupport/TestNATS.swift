public import Foundation

/// A private nats-server with JetStream, in its own folder and on its own port.
public final class TestNATS: Sendable {
    /// The binaries the suites run against: `GOLDEN_NATS_SERVERS` (colon separated), else `nats-server` on the path.
    public static let binaries: [String] = {
        let named = ProcessInfo.processInfo.environment["GOLDEN_NATS_SERVERS"] ?? ""
        let list = named.split(separator: ":").map(String.init)
        return list.isEmpty ? ["nats-server"] : list
    }()

    public enum Security: Sendable {
        case none
        case user(String, password: String)
        /// PEM files of the server's certificate.
        case tls(certificate: String, key: String)
    }

    public let port: Int
    public let folder: URL
    private let process: ServerProcess

    /// Starts the server.
    ///
    /// - Parameter maxPayload: nil for the server's default of 1 MiB.
    public init(_ binary: String = TestNATS.binaries[0], security: Security = .none, maxPayload: Int? = nil) throws {
        port = freePort()
        folder = try temporaryFolder("nats")
        let configuration = folder.appending(path: "server.conf")
        var lines = [
            "host: 127.0.0.1", "port: \(port)",
            "jetstream { store_dir: \"\(folder.path)/store\", max_mem: 256M, max_file: 2G }",
        ]
        if let maxPayload { lines.append("max_payload: \(maxPayload)") }
        switch security {
        case .none: break
        case .user(let user, let password):
            lines.append("authorization { user: \"\(user)\", password: \"\(password)\" }")
        case .tls(let certificate, let key):
            lines.append("tls { cert_file: \"\(certificate)\", key_file: \"\(key)\", timeout: 3 }")
        }
        try Data(lines.joined(separator: "\n").utf8).write(to: configuration)
        process = ServerProcess(
            try Self.path(of: binary), ["-c", configuration.path], logFile: folder.appending(path: "server.log")
        )
        try start()
    }

    deinit {
        process.kill()
        try? FileManager.default.removeItem(at: folder)
    }

    public var url: String { "nats://127.0.0.1:\(port)" }

    /// Starts it again after `kill`, on the same port and store.
    public func start() throws {
        try process.start { accepts(port: port) }
    }

    /// SIGKILL.
    public func kill() { process.kill() }

    /// SIGTERM.
    public func terminate() { process.terminate() }

    /// SIGSTOP: it keeps its sockets and answers nothing. Returns when every thread of it stands still.
    public func pause() {
        process.pause()
        while let pid = process.pid, !Self.isStopped(pid) { usleep(1000) }
    }

    /// SIGCONT.
    public func resume() { process.resume() }

    /// Forgets every stream. Only while it is down.
    public func wipeStore() throws {
        try FileManager.default.removeItem(at: folder.appending(path: "store"))
    }

    public var log: String {
        (try? String(contentsOf: folder.appending(path: "server.log"), encoding: .utf8)) ?? ""
    }

    /// True when all threads are in state T, or the process is gone.
    private static func isStopped(_ pid: Int32) -> Bool {
        let tasks = "/proc/\(pid)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.allSatisfy { thread in
            let stat = (try? String(contentsOfFile: "\(tasks)/\(thread)/stat", encoding: .utf8)) ?? ""
            // The state follows the name, which stands in parentheses.
            guard let close = stat.lastIndex(of: ")") else { return true }
            return stat[close...].dropFirst(2).first == "T"
        }
    }

    private static func path(of binary: String) throws -> String {
        if binary.contains("/") { return binary }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + ["/usr/sbin", "/usr/local/bin"] {
            let path = folder + "/" + binary
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw ServerProcess.Failure(description: "No executable named \(binary) is on the path.")
    }
}
