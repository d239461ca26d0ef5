/// Exponential backoff with full jitter, half of it certain so that a retry is never at once.
enum RetryDelay {
    static func jittered(attempt: Int, base: Duration = .milliseconds(200), cap: Duration) -> Duration {
        var ceiling = base
        for _ in 0..<max(0, attempt) where ceiling < cap { ceiling *= 2 }
        return min(ceiling, cap) * Double.random(in: 0.5...1)
    }
}
