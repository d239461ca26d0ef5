internal import DriverThreads
internal import Synchronization

/// Runs `tick` when something is due, and sleeps otherwise.
final class DeadlineThread: Sendable {
    private struct State {
        var next: ContinuousClock.Instant?
        var isStopped = false
        /// The thread looks at `next` again before it sleeps, so that nobody need wake it.
        var isTicking = false
    }

    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// - Parameter tick: does what is due and says when it wants to be called next; nil: when woken.
    func start(name: String, _ tick: @escaping @Sendable (ContinuousClock.Instant) -> ContinuousClock.Instant?) {
        startThread(name: name) { self.run(tick) }
    }

    /// Makes sure that `tick` runs by then.
    func wake(by instant: ContinuousClock.Instant) {
        let mustWake = state.withLock { state in
            if let next = state.next, next <= instant { return false }
            state.next = instant
            return !state.isTicking
        }
        if mustWake { wakeUp.raise() }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        wakeUp.raise()
    }

    private func run(_ tick: @Sendable (ContinuousClock.Instant) -> ContinuousClock.Instant?) {
        while true {
            let isStopped = state.withLock { state in
                state.next = nil
                state.isTicking = true
                return state.isStopped
            }
            if isStopped { return }
            let wanted = tick(.now)
            let next = state.withLock { state in
                // Someone may have asked for an earlier tick meanwhile.
                state.isTicking = false
                state.next = [state.next, wanted].compactMap { $0 }.min()
                return state.next
            }
            wakeUp.wait(until: next)
        }
    }
}
