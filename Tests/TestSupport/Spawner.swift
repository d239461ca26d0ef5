public import Foundation

/// The one thread that starts processes.
///
/// The kernel ends a server with the thread that started it, not with the process; the threads that tests run on come
/// and go, this one stays. And what is started while another has its pipes made would inherit them: whoever reads would
/// wait for the end of a server that has nothing to do with it.
public final class Spawner: @unchecked Sendable {
    public static let shared = Spawner()

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
    public func output(of process: Process) throws -> String {
        process.standardInput = FileHandle.nullDevice
        let output = try perform {
            let output = Pipe()
            process.standardOutput = output
            process.standardError = output
            try process.run()
            return output
        }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Does on the thread what makes a process's pipes and starts it.
    public func perform<Result>(_ job: @escaping () throws -> Result) throws -> Result {
        let done = DispatchSemaphore(value: 0)
        let outcome = Outcome<Result>()
        condition.lock()
        jobs.append {
            outcome.result = Swift.Result { try job() }
            done.signal()
        }
        condition.signal()
        condition.unlock()
        done.wait()
        guard let result = outcome.result else { preconditionFailure("the job was done") }
        return try result.get()
    }

    /// Written before the semaphore is signalled, read after.
    private final class Outcome<Result>: @unchecked Sendable {
        var result: Swift.Result<Result, any Error>?
    }
}
