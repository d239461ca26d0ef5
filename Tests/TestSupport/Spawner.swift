public import Foundation

/// The one thread that starts processes.
///
/// The kernel ends a server with the thread that started it, not with the process; the threads that tests run on come
/// and go, this one stays. And what is started while another has its pipes made would inherit them: whoever reads would
/// wait for the end of a server that has nothing to do with it.
public final class Spawner: @unchecked Sendable {
    public static let shared = Spawner()
    /// The longest that a test waits for a process: longer than any takes, and an end to one that hangs.
    public static let limit: Duration = .seconds(300)

    private let condition = NSCondition()
    private var jobs: [() -> Void] = []

    private init() {
        let thread = Thread { [condition] in
            // What is started here inherits the thread's mask, and would never hear what that keeps back.
            var none = sigset_t()
            sigemptyset(&none)
            pthread_sigmask(SIG_SETMASK, &none, nil)
            while true {
                condition.lock()
                while self.jobs.isEmpty { condition.wait() }
                let jobs = self.jobs
                self.jobs = []
                condition.unlock()
                for job in jobs { job() }
            }
        }
        thread.name = "spawner"
        thread.start()
    }

    /// Starts the process and returns when it runs.
    public func start(_ process: Process) throws {
        try perform { try process.run() }
    }

    /// Runs the process to its end; answers what it printed, on both streams.
    ///
    /// - Throws: when it could not be started, or took so long that it was killed.
    public func output(of process: Process, within limit: Duration = Spawner.limit) throws -> String {
        process.standardInput = FileHandle.nullDevice
        let output = try perform {
            let output = Pipe()
            process.standardOutput = output
            process.standardError = output
            try process.run()
            return output
        }
        let end = ContinuousClock.now + limit
        let bytes = Self.bytes(from: output, until: end)
        guard wait(for: process, within: end - ContinuousClock.now) else {
            let words = ([process.executableURL?.path ?? ""] + (process.arguments ?? [])).joined(separator: " ")
            throw ServerProcess.Failure(description: "This took longer than \(limit), and was killed: \(words)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What comes through the pipe until nobody can write any more, it is enough, or the time is up.
    public static func bytes(
        from pipe: Pipe, until end: ContinuousClock.Instant, isEnough: (Data) -> Bool = { _ in false }
    ) -> Data {
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        var found = Data()
        var piece = [UInt8](repeating: 0, count: 65_536)
        while !isEnough(found), ContinuousClock.now < end {
            var awaited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&awaited, 1, 100) > 0 else { continue }
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            found.append(contentsOf: piece.prefix(count))
        }
        return found
    }

    /// Waits until the process has ended, and kills it when that takes too long.
    ///
    /// `waitUntilExit` would run the loop of the thread it is called on, to which no news comes, and hold a core.
    /// - Returns: whether it ended by itself.
    @discardableResult
    public func wait(for process: Process, within limit: Duration = Spawner.limit) -> Bool {
        let hasEnded = Self.hasEnded(process, within: limit)
        if !hasEnded {
            kill(process.processIdentifier, SIGKILL)
            guard Self.hasEnded(process, within: .seconds(30)) else { return false }
        }
        // It returns at once now; without it the process and its pipes would never be let go.
        carryOut { process.waitUntilExit() }
        return hasEnded
    }

    private static func hasEnded(_ process: Process, within limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        while process.isRunning {
            if ContinuousClock.now >= end { return false }
            usleep(5_000)
        }
        return true
    }

    /// Does on the thread what makes a process's pipes and starts it.
    public func perform<Result>(_ job: @escaping () throws -> Result) throws -> Result {
        let outcome = Outcome<Result>()
        carryOut { outcome.result = Swift.Result { try job() } }
        guard let result = outcome.result else { preconditionFailure("the job was done") }
        return try result.get()
    }

    /// Does it on the thread, and returns when it is done.
    private func carryOut(_ job: @escaping () -> Void) {
        let done = DispatchSemaphore(value: 0)
        condition.lock()
        jobs.append {
            job()
            done.signal()
        }
        condition.signal()
        condition.unlock()
        done.wait()
    }

    /// Written before the semaphore is signalled, read after.
    private final class Outcome<Result>: @unchecked Sendable {
        var result: Swift.Result<Result, any Error>?
    }
}
