/// Keeps rounds of work apart while one follows the other, so that each has more to do: a transaction costs as much
/// before its first row as some dozen rows. What comes after a pause is done at once.
struct Pace: Sendable {
    /// From the beginning of one round to that of the next.
    let interval: Duration

    /// Waits for what is left of the interval, or for the end of the task.
    func rest(since start: ContinuousClock.Instant) async {
        do {
            try await Task.sleep(until: start + interval)
        } catch {
            // Cancelled: whoever goes on finds out, and a round that is done stays done.
            return
        }
    }
}
