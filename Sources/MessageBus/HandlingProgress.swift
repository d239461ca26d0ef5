internal import NATS
internal import Synchronization

/// Whether a consumer's handler gets anywhere, seen from messages that make it throw; and how often it failed on each.
///
/// The server's count of deliveries would be no measure: it holds those that only had to wait for a lock, that were
/// handed back untried, and that other processes had.
final class HandlingProgress: Sendable {
    /// A message. A stream that was wiped counts from 1 again, so the sequence alone would name another one.
    struct Key: Sendable, Hashable {
        let sequence: UInt64
        let timestampNanoseconds: Int64
    }

    private struct Failures {
        var count = 0
        /// Messages handled before the first that was thrown; nil when none was.
        var handledBefore: Int?
    }

    private struct State {
        var handledCount = 0
        var recent: [Key: Failures] = [:]
        /// What `recent` held when it was full last.
        var older: [Key: Failures] = [:]

        func failures(on key: Key) -> Failures? { recent[key] ?? older[key] }

        mutating func keep(_ failures: Failures, on key: Key, recentMax: Int) {
            if recent[key] == nil, recent.count >= recentMax {
                older = recent
                recent = [:]
            }
            older[key] = nil
            recent[key] = failures
        }
    }

    private let failingMax: Int
    private let state = Mutex(State())

    /// - Parameter failingMax: so many failing messages are remembered, those that failed last. On a forgotten one the
    ///   count begins anew, so it should be as many as the server leaves unsettled at once.
    init(failingMax: Int) {
        self.failingMax = failingMax
    }

    func handled(_ count: Int) {
        state.withLock { $0.handledCount += count }
    }

    /// Handling the message failed.
    ///
    /// - Parameter isThrown: the handler threw, so that the cause may be outside the message.
    /// - Returns: How often it has failed by now, as far as this consumer remembers.
    func failed(_ key: Key, isThrown: Bool) -> Int {
        state.withLock { state in
            var failures = state.failures(on: key) ?? Failures()
            failures.count += 1
            if isThrown { failures.handledBefore = failures.handledBefore ?? state.handledCount }
            state.keep(failures, on: key, recentMax: failingMax)
            return failures.count
        }
    }

    /// Whether anything was handled since the message first made the handler throw.
    func wasMade(sinceThrowOf key: Key) -> Bool {
        state.withLock { state in
            guard let before = state.failures(on: key)?.handledBefore else { return false }
            return state.handledCount > before
        }
    }

    func forget(_ key: Key) {
        state.withLock { state in
            state.recent[key] = nil
            state.older[key] = nil
        }
    }
}

extension Delivery {
    var progressKey: HandlingProgress.Key {
        HandlingProgress.Key(sequence: streamSequence, timestampNanoseconds: timestampNanoseconds)
    }
}
