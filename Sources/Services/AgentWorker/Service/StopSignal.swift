internal import AgentWorkerCore
internal import Synchronization

/// Tells one piece of work, once, that it has to stop, and why.
final class StopSignal: Sendable {
    private struct State {
        var reason: LeaseBook.StopReason?
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    var reason: LeaseBook.StopReason? { state.withLock { $0.reason } }

    /// Only the first reason counts.
    func stop(_ reason: LeaseBook.StopReason) {
        let waiter = state.withLock { state in
            if state.reason == nil { state.reason = reason }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns when it has to stop, or when the waiting task is cancelled. One waiter at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    precondition(state.waiter == nil, "A stop signal has one waiter.")
                    if state.reason != nil || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }
}
