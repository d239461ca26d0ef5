internal import Synchronization

/// Ends intake without cancelling what is in hand: for a graceful shutdown.
package final class IntakeValve: Sendable {
    private struct State {
        var isClosed = false
        var actions: [@Sendable () -> Void] = []
    }
    private let state = Mutex(State())

    package init() {}

    /// No batch is taken after this. Idempotent.
    package func close() {
        let actions = state.withLock { state in
            state.isClosed = true
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action() }
    }

    package var isClosed: Bool { state.withLock { $0.isClosed } }

    func onClose(_ action: @escaping @Sendable () -> Void) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.actions.append(action) }
            return state.isClosed
        }
        if isClosed { action() }
    }
}
