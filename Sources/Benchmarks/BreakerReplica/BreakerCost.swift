internal import Coordination
internal import Synchronization

/// What a closed breaker costs a call, in nanoseconds.
struct BreakerCost {
    /// So many calls are timed together, since a look at the clock costs as much as a call.
    private static let batch = 1000

    private let breaker: CircuitBreaker

    init(_ breaker: CircuitBreaker) { self.breaker = breaker }

    /// `name=nanoseconds …`: a decision with and without the count of its outcome, on average and in the slowest of a
    /// hundred batches; the same from two tasks at once; and what a lock and a look at the clock cost.
    func measured(calls: Int) async -> String {
        let batches = max(100, calls / Self.batch)
        // Warm first.
        _ = await Self.timed(batches / 10) { await call() }
        let decision = await Self.timed(batches) { _ = await breaker.admit() }
        let whole = await Self.timed(batches) { await call() }
        async let one = Self.timed(batches) { await call() }
        async let other = Self.timed(batches) { await call() }
        let both = await (one, other)
        let lock = Mutex(0)
        let locking = await Self.timed(batches) { lock.withLock { $0 &+= 1 } }
        let clock = await Self.timed(batches) { _ = ContinuousClock.now }
        let counted = breaker.status.calls
        return [
            "decision=\(decision.mean)", "decision_p99=\(decision.p99)", "call=\(whole.mean)", "call_p99=\(whole.p99)",
            "shared=\((both.0.mean + both.1.mean) / 2)", "lock=\(locking.mean)", "clock=\(clock.mean)",
            "counted=\(counted)", "state=\(breaker.status.state.word)",
        ].joined(separator: " ")
    }

    private func call() async {
        guard case .admitted(let ticket) = await breaker.admit() else { return }
        breaker.finish(ticket, .success)
    }

    private static func timed(
        _ batches: Int, _ body: () async -> Void
    ) async -> (mean: Double, p99: Double) {
        var nanoseconds: [Double] = []
        nanoseconds.reserveCapacity(batches)
        for _ in 0..<batches {
            let start = ContinuousClock.now
            for _ in 0..<batch { await body() }
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            nanoseconds.append((Double(seconds) * 1e9 + Double(attoseconds) / 1e9) / Double(batch))
        }
        nanoseconds.sort()
        return (nanoseconds.reduce(0, +) / Double(batches), nanoseconds[batches * 99 / 100])
    }
}
