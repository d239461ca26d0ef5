internal import Synchronization

/// Whether a consumer's handler gets anywhere, seen from messages that make it throw.
final class HandlingProgress: Sendable {
    /// Failing messages remembered at once; a forgotten one is only given up later.
    private static let failuresMax = 1024

    private struct State {
        var handledCount = 0
        /// Stream sequence to the count of handled messages at its first failure.
        var failures: [UInt64: Int] = [:]
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

    func forget(_ sequence: UInt64) {
        state.withLock { _ = $0.failures.removeValue(forKey: sequence) }
    }
}
