/// Exponential backoff with full jitter: a wait is drawn evenly from zero to `base · 2^attempt`, never above `cap`.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (the "full jitter" variant).
package struct Backoff: Sendable {
    package let base: Duration
    package let cap: Duration

    package init(base: Duration = .milliseconds(50), cap: Duration = .seconds(2)) {
        self.base = base
        self.cap = cap
    }

    /// The longest wait before retry number `attempt`, counted from 0.
    package func ceiling(attempt: Int) -> Duration {
        var ceiling = base
        for _ in 0..<max(0, attempt) where ceiling < cap { ceiling *= 2 }
        return min(ceiling, cap)
    }

    /// A random wait before retry number `attempt`, counted from 0.
    package func delay(attempt: Int) -> Duration {
        ceiling(attempt: attempt) * Double.random(in: 0...1)
    }
}
