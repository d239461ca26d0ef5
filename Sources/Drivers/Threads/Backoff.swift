/// Exponential backoff with full jitter: a wait is drawn evenly from zero to `base · 2^attempt`, never above `cap`.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (the "full jitter" variant).
package struct Backoff: Sendable {
    /// From a nanosecond these lead to a century.
    private static let doublingsMax = 62

    package let base: Duration
    package let cap: Duration

    package init(base: Duration = .milliseconds(50), cap: Duration = .seconds(2)) {
        self.base = base
        self.cap = cap
    }

    /// The longest wait before retry number `attempt`, counted from 0. Attempts may be counted without end.
    package func ceiling(attempt: Int) -> Duration {
        var ceiling = base
        var doublings = min(attempt, Self.doublingsMax)
        while doublings > 0, ceiling < cap {
            ceiling *= 2
            doublings -= 1
        }
        return min(ceiling, cap)
    }

    /// A random wait before retry number `attempt`, counted from 0.
    package func delay(attempt: Int) -> Duration {
        ceiling(attempt: attempt) * Double.random(in: 0...1)
    }
}
