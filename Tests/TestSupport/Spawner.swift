public import Foundation

/// The one thread that starts servers. The kernel ends a server with the thread that started it, not with the process;
/// the threads that tests run on come and go, this one stays.
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
        let done = DispatchSemaphore(value: 0)
        let outcome = Outcome()
        condition.lock()
        jobs.append {
            outcome.result = Result { try process.run() }
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
}
