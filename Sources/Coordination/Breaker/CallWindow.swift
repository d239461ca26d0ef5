/// How the calls of the last ten seconds came out: ten buckets of one second. Integers in place, so that counting
/// allocates nothing.
struct CallWindow: Sendable {
    struct Counts: Sendable, Hashable {
        var calls: Int64 = 0
        var failures: Int64 = 0
        var slow: Int64 = 0
    }

    private struct Bucket {
        var second: Int64 = .min
        var counts = Counts()
    }

    static let seconds: Int64 = 10
    private static let second: Int64 = 1_000_000

    private var buckets = InlineArray<10, Bucket>(repeating: Bucket())

    /// - Parameter now: microseconds, not below zero.
    mutating func count(_ outcome: BreakerOutcome, now: Int64) {
        let second = now / Self.second
        let place = Int(second % Self.seconds)
        if buckets[place].second != second { buckets[place] = Bucket(second: second) }
        switch outcome {
        case .ignored: return
        case .success: break
        case .failure: buckets[place].counts.failures += 1
        case .slow: buckets[place].counts.slow += 1
        }
        buckets[place].counts.calls += 1
    }

    func counts(now: Int64) -> Counts {
        let second = now / Self.second
        var sum = Counts()
        for place in buckets.indices {
            let bucket = buckets[place]
            guard bucket.second > second - Self.seconds, bucket.second <= second else { continue }
            sum.calls += bucket.counts.calls
            sum.failures += bucket.counts.failures
            sum.slow += bucket.counts.slow
        }
        return sum
    }

    /// Whether the window speaks against the dependency.
    func trips(_ policy: BreakerPolicy, now: Int64) -> Bool {
        let sum = counts(now: now)
        guard sum.calls >= policy.callsMin else { return false }
        return sum.failures * 100 >= sum.calls * policy.failurePercent
            || sum.slow * 100 >= sum.calls * policy.slowPercent
    }
}
