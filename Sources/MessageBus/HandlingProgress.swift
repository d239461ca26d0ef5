internal import Synchronization

/// Whether a consumer's handler gets anywhere, seen from messages that make it throw; and which deliveries were no
/// failures, since the server counts all alike.
final class HandlingProgress: Sendable {
    /// Failing messages remembered at once; a forgotten one is only given up later.
    private static let failuresMax = 1024
    /// Waiting messages remembered at once; of a forgotten one its waits count as failures.
    private static let waitsMax = 1024

    private struct State {
        var handledCount = 0
        /// Stream sequence to the count of handled messages at its first failure.
        var failures: [UInt64: Int] = [:]
        /// Stream sequence to how often the message had to wait.
        var waits: [UInt64: Int] = [:]
    }
    private let state = Mutex(State())

    func handled(_ count: Int) {
        state.withLock { $0.handledCount += count }
    }

    func failed(_ sequence: UInt64) {
        state.withLock { state in
            guard state.failures[sequence] == nil else { return }
            if state.failures.count >= Self.failuresMax { state.failures = [:] }
            state.failures[sequence] = state.handledCount
        }
    }

    func wasMade(sinceFailureOf sequence: UInt64) -> Bool {
        state.withLock { state in state.failures[sequence].map { state.handledCount > $0 } ?? false }
    }

    func waited(_ sequence: UInt64) {
        state.withLock { state in
            if state.waits[sequence] == nil, state.waits.count >= Self.waitsMax { state.waits = [:] }
            state.waits[sequence, default: 0] += 1
        }
    }

    /// How often the message had to wait, as far as this consumer has seen it.
    func waits(of sequence: UInt64) -> Int { state.withLock { $0.waits[sequence, default: 0] } }

    func forget(_ sequence: UInt64) {
        state.withLock { state in
            state.failures[sequence] = nil
            state.waits[sequence] = nil
        }
    }
}
