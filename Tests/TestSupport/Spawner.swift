public import Foundation

/// The one thread that starts processes. The kernel ends a server with the thread that started it, not with the process;
/// the threads that tests run on come and go, this one stays. And what is started while another has its pipes made would
/// inherit them: whoever reads would wait for the end of a server that has nothing to do with it.
public final class Spawner: @unchecked Sendable {
    public static let shared = Spawner()

    private let condition = NSCondition()
    private var jobs: [() -> Void] = []

    private init() {
        let thread = Thread { [condition] in
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
        let output = Output()
        process.standardInput = FileHandle.nullDevice
        try perform {
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
            output.pipe = pipe
        }
        let bytes = output.pipe?.fileHandleForReading.readDataToEndOfFile() ?? Data()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Does on the thread what starts a process and makes its pipes.
    public func perform(_ job: @escaping () throws -> Void) throws {
        let done = DispatchSemaphore(value: 0)
        let outcome = Outcome()
        condition.lock()
        jobs.append {
            outcome.result = Result { try job() }
            done.signal()
        }
        condition.signal()
        condition.unlock()
        done.wait()
        try outcome.result.get()
    }

    /// Written before the semaphore is signalled, read after.
    private final class Outcome: @unchecked Sendable {
        var result: Result<Void, any Error> = .success(())
    }

    private final class Output: @unchecked Sendable {
        var pipe: Pipe?
    }
}
