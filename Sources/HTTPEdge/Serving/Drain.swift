internal import Synchronization

/// One server's shutdown, announced: readiness turns false and long answers end when it begins. It never goes back.
package final class Drain: Sendable {
    private struct State {
        var hasBegun = false
        var nextListener = 0
        var listeners: [Int: AsyncStream<Never>.Continuation] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// Says that the server is to stop. Later calls do nothing.
    package func begin() {
        let listeners = state.withLock { state in
            state.hasBegun = true
            defer { state.listeners = [:] }
            return state.listeners
        }
        for listener in listeners.values { listener.finish() }
    }

    /// Returns when the drain begins, or when the waiting task is cancelled.
    package func wait() async {
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        let id: Int? = state.withLock { state in
            if state.hasBegun { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        guard let id else { return }
        for await _ in stream {}
        state.withLock { _ = $0.listeners.removeValue(forKey: id) }
    }
}
