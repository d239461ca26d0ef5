internal import Foundation

/// Runs what blocks (starting a server, waiting for a process) on one of a few threads that never end.
///
/// The tests' shared threads are as few as the cores: one that is held up delays every test. The threads must not end,
/// because a server started with `--pdeathsig` dies with the thread that started it, not with the process.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        BlockingThreads.shared.add { continuation.resume(with: Result { try body() }) }
    }
}

private final class BlockingThreads: @unchecked Sendable {
    static let shared = BlockingThreads()

    private let condition = NSCondition()
    private var jobs: [@Sendable () -> Void] = []

    private init() {
        for _ in 0..<4 { Thread.detachNewThread { while true { self.next()() } } }
    }

    func add(_ job: @escaping @Sendable () -> Void) {
        condition.withLock {
            jobs.append(job)
            condition.signal()
        }
    }

    private func next() -> @Sendable () -> Void {
        condition.withLock {
            while jobs.isEmpty { condition.wait() }
            return jobs.removeFirst()
        }
    }
}
