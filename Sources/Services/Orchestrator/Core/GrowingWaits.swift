package import Contracts

/// When what was done for a task, because something of it was missing, may be done once more: each time after twice the
/// time, so that what nobody takes is not made for ever.
package struct GrowingWaits: Sendable {
    private let first: Duration
    private let longest: Duration
    private var waits: [TaskID: (wait: Duration, next: ContinuousClock.Instant)] = [:]

    /// - Parameter first: between the first time and the second.
    package init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
    }

    package func isDue(_ task: TaskID, at now: ContinuousClock.Instant) -> Bool {
        waits[task].map { $0.next <= now } ?? true
    }

    package mutating func done(_ task: TaskID, at now: ContinuousClock.Instant) {
        let wait = min(waits[task].map { $0.wait * 2 } ?? first, longest)
        waits[task] = (wait, now + wait)
    }

    /// Forgets all tasks but these, of which something is still missing.
    package mutating func keep(_ missing: Set<TaskID>) {
        waits = waits.filter { missing.contains($0.key) }
    }
}
