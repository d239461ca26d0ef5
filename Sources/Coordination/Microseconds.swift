extension Duration {
    /// Whole microseconds, rounded up.
    var microsecondsUp: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + (attoseconds + 999_999_999_999) / 1_000_000_000_000
    }
}
