/// The generic cell rate algorithm (GCRA) for several policies at once, all or nothing: pure integer arithmetic in
/// microseconds. The Lua in `RateScript` does the same in Redis, and the tests hold the two together.
///
/// Each key stores one number, its *theoretical arrival time* (TAT): when the key's credit will be whole again. Taking
/// `cost` moves it by `cost · interval`; that is allowed as long as it stays within `burst · interval` of now. So in
/// any window the cost admitted is at most `burst + window / interval`.
///
/// Source: ITU-T I.371 (virtual scheduling), and "Rate limiting, cells, and GCRA", Brandur Leach, 2015.
enum CellRate {
    /// One charge, with what is stored for its key.
    struct Cell: Sendable, Hashable {
        /// Microseconds for one unit.
        var interval: Int64
        var burst: Int64
        var cost: Int64
        /// The stored TAT; nil when nothing is stored.
        var arrival: Int64?
        /// The TAT counts as at least this many microseconds from now: what was granted without the store.
        var floor: Int64 = 0
    }

    /// How one cell came out.
    struct Verdict: Sendable, Hashable {
        /// 0: nothing against it. -1: never admissible. Else the microseconds to wait.
        var retry: Int64
        var remaining: Int64
        /// Microseconds until the key's credit is whole.
        var reset: Int64
        /// The TAT to store; unchanged (but never before now) when the whole was refused.
        var arrival: Int64
    }

    struct Outcome: Sendable, Hashable {
        var allowed: Bool
        var verdicts: [Verdict]
        /// When it was decided, in microseconds of the clock of whoever decided: Redis' own, or the caller's.
        var at: Int64
    }

    /// Decides all cells together at time `now` (microseconds).
    ///
    /// - Parameter force: books the cost whatever stands against it, which may leave a debt. A debt is bounded by one
    ///   more burst, and so is the harm of a clock that jumps back.
    static func decide(_ cells: [Cell], now: Int64, force: Bool = false) -> Outcome {
        var allowed = true
        var steps: [(before: Int64, after: Int64, retry: Int64)] = []
        for cell in cells {
            let capacity = cell.burst * cell.interval
            let before = min(max(cell.arrival ?? now, now + max(0, cell.floor)), now + 2 * capacity)
            if cell.cost > cell.burst && !force {
                allowed = false
                steps.append((before, before, -1))
                continue
            }
            // A cost that is booked by force may be any number; what it can do is bounded before it is multiplied.
            let cost = min(max(cell.cost, -2 * cell.burst), 2 * cell.burst)
            var after = max(before + cost * cell.interval, now)
            if force { after = min(after, now + 2 * capacity) }
            // Only force leaves a debt; while there is one, even a question of cost zero is refused.
            let retry = force ? 0 : max(0, after - capacity - now)
            if retry > 0 { allowed = false }
            steps.append((before, after, retry))
        }
        let verdicts = zip(cells, steps).map { cell, step in
            let arrival = allowed ? step.after : step.before
            let remaining = max(0, (cell.burst * cell.interval - (arrival - now)) / cell.interval)
            return Verdict(retry: step.retry, remaining: remaining, reset: arrival - now, arrival: arrival)
        }
        return Outcome(allowed: allowed, verdicts: verdicts, at: now)
    }
}
