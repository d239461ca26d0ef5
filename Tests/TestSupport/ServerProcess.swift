public import Foundation

/// A real server started for one test: its own process, folder and port, killed when the test process ends.
///
/// Everything is addressed by process id; nothing the test did not start is ever signalled.
public final class ServerProcess: @unchecked Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let lock = NSLock()
    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private let user: String?
    private let logFile: URL
    private var process: Process?

    /// - Parameter user: the account to run as when the test runs as root (postgres refuses root).
    public init(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], user: String? = nil,
        logFile: URL
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.user = user
        self.logFile = logFile
    }

    deinit { kill() }

    public var pid: Int32? { lock.withLock { process?.processIdentifier } }

    /// Starts the server and waits until `isReady` answers true.
    public func start(within limit: Duration = .seconds(20), isReady: () -> Bool) throws {
        if !FileManager.default.fileExists(atPath: logFile.path) {
            try Data().write(to: logFile)
        }
        let log = try FileHandle(forWritingTo: logFile)
        try log.seekToEnd()
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/setpriv")
        var prefix = ["--pdeathsig", "KILL"]
        if let user, getuid() == 0 { prefix += ["--reuid", user, "--regid", user, "--clear-groups"] }
        process.arguments = prefix + [executable] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = log
        process.standardError = log
        try Spawner.shared.start(process)
        lock.withLock { self.process = process }
        let end = ContinuousClock.now + limit
        while !isReady() {
            guard process.isRunning, ContinuousClock.now < end else {
                let text = (try? String(contentsOf: logFile, encoding: .utf8)) ?? ""
                throw Failure(description: "\(executable) did not become ready:\n\(text.suffix(2000))")
            }
            usleep(10_000)
        }
        // Somebody else may be listening there: then this one has ended, and nobody should take the other for it.
        guard process.isRunning else { throw Failure(description: "\(executable) ended at once: \(logFile.path)") }
    }

    /// SIGKILL, and waits until the process is gone.
    public func kill() { end(SIGKILL) }

    /// SIGTERM, and waits until the process is gone.
    public func terminate() { end(SIGTERM) }

    /// SIGSTOP: the server keeps its sockets and answers nothing.
    public func pause() { signal(SIGSTOP) }

    /// SIGCONT.
    public func resume() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        if let pid { _ = Foundation.kill(pid, number) }
    }

    private func end(_ signal: Int32) {
        let process = lock.withLock {
            let process = self.process
            self.process = nil
            return process
        }
        guard let process, process.isRunning else { return }
        _ = Foundation.kill(process.processIdentifier, signal)
        _ = Foundation.kill(process.processIdentifier, SIGCONT)
        Spawner.shared.wait(for: process, within: .seconds(60))
    }
}

/// True when something accepts connections on that loopback port.
public func accepts(port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
            connect(descriptor, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
