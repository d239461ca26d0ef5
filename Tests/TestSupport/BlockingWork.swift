internal import Foundation

/// Runs what blocks (starting a server, waiting for a process) on a thread of its own.
///
/// The tests' shared threads are as few as the cores: one that is held up delays every test. What is started outlives
/// the thread, because the `Spawner` starts it.
public func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await places.pass {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }
}

/// Enough for those that hold a place for minutes, and few enough that programs which all start at once do not take
/// the processor and the memory from each other.
private let places = Turnstile(admits: 16)
