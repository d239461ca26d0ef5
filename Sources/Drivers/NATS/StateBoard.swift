internal import Synchronization

/// The connection's state, and everyone who wants to hear of changes.
final class StateBoard: Sendable {
    /// A listener who does not read misses the oldest changes, never the newest.
    static let changesBuffered = 16

    private struct State {
        var current = NATSConnectionState.disconnected(reason: "Not connected yet.")
        var nextID = 0
        /// Sessions up to this number have ended.
        var lastLost = 0
        var listeners: [Int: AsyncStream<NATSConnectionState>.Continuation] = [:]
    }

    private let state = Mutex(State())

    var current: NATSConnectionState { state.withLock { $0.current } }

    /// Ignored when that session was lost meanwhile: the two are told by different threads.
    func connected(session: Int, server: String, reconnectCount: Int) {
        state.withLock { state in
            guard session > state.lastLost else { return }
            Self.set(.connected(server: server, reconnectCount: reconnectCount), &state)
        }
    }

    func lost(session: Int, reason: String) {
        state.withLock { state in
            state.lastLost = max(state.lastLost, session)
            Self.set(.disconnected(reason: reason), &state)
        }
    }

    func closed() {
        let listeners = state.withLock { state -> [AsyncStream<NATSConnectionState>.Continuation] in
            Self.set(.closed, &state)
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        // Finishing calls `onTermination`, which takes the lock.
        for listener in listeners { listener.finish() }
    }

    /// Tells everyone inside the lock, so that all hear the same order. Yielding never calls back.
    private static func set(_ new: NATSConnectionState, _ state: inout State) {
        // Closed is final.
        guard state.current != .closed else { return }
        state.current = new
        for listener in state.listeners.values { listener.yield(new) }
    }

    /// Starts with the present state; ends after `.closed`.
    func changes() -> AsyncStream<NATSConnectionState> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: NATSConnectionState.self, bufferingPolicy: .bufferingNewest(Self.changesBuffered)
        )
        let (id, isClosed) = state.withLock { state -> (Int, Bool) in
            state.nextID += 1
            continuation.yield(state.current)
            guard state.current != .closed else { return (state.nextID, true) }
            state.listeners[state.nextID] = continuation
            return (state.nextID, false)
        }
        if isClosed {
            continuation.finish()
        } else {
            continuation.onTermination = { [weak self] _ in
                _ = self?.state.withLock { $0.listeners.removeValue(forKey: id) }
            }
        }
        return stream
    }
}
