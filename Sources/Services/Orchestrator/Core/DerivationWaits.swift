package import Contracts

/// When work that was derived again may be derived once more: each time after twice the time, so that what no queue
/// keeps is not made for ever.
package struct DerivationWaits: Sendable {
    /// Between the first derivation and the second.
    package static let first: Duration = .seconds(10)
    package static let longest: Duration = .seconds(600)

    private var waits: [TaskID: (wait: Duration, next: ContinuousClock.Instant)] = [:]

    package init() {}

    package func isDue(_ task: TaskID, at now: ContinuousClock.Instant) -> Bool {
        waits[task].map { $0.next <= now } ?? true
    }

    package mutating func derived(_ task: TaskID, at now: ContinuousClock.Instant) {
        let wait = min(waits[task].map { $0.wait * 2 } ?? Self.first, Self.longest)
        waits[task] = (wait, now + wait)
    }

    /// Forgets all tasks but these, whose work is still missing.
    package mutating func keep(_ missing: Set<TaskID>) {
        waits = waits.filter { missing.contains($0.key) }
    }
}
