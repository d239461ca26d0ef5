/// This replica's own count, kept warm beside the fleet's so that it can take over at any moment.
///
/// A TAT is a point in time, not a number of units, so what Redis says carries over unchanged: who had used up the
/// fleet's credit has used up the shadow's, and regains it over the same time, at the rate divided by the replicas.
struct ShadowLimiter {
    private var arrivals: RecentKeys
    /// Keys of which something was granted here that Redis has not been told yet.
    private var untold: Set<String> = []

    /// - Parameter capacity: the most keys remembered; one forgotten starts from whole credit.
    init(capacity: Int) { arrivals = RecentKeys(capacity: capacity) }

    var count: Int { arrivals.count }

    var all: [(key: String, value: Int64)] { arrivals.all }

    /// Learns what the fleet decided. Replies overtake each other, so a TAT never moves back here, except by `settle`.
    mutating func learn(_ keys: [String], _ outcome: CellRate.Outcome) {
        for (key, verdict) in zip(keys, outcome.verdicts) {
            let known = arrivals.value(key) ?? verdict.arrival
            if !untold.isEmpty, verdict.arrival >= known { untold.remove(key) }
            arrivals.set(key, max(known, verdict.arrival))
        }
    }

    /// What Redis must be told when it is back: of each key how far its TAT lies ahead because of what was granted
    /// here alone. Without it the whole burst would be there once more after every outage. Nil: nothing to tell.
    mutating func floors(_ keys: [String], now: Int64) -> [Int64]? {
        if untold.isEmpty { return nil }
        return keys.map { key in
            guard untold.contains(key) else { return 0 }
            let floor = max(0, (arrivals.value(key) ?? now) - now)
            if floor == 0 { untold.remove(key) }
            return floor
        }
    }

    /// Decides alone, for a fleet of `replicas`: a `replicas`-th of the rate and of the burst.
    ///
    /// A cost up to the policy's burst stays admissible, or a request would be refused for ever only because Redis is
    /// away; it then needs whole credit, and takes the longer to come back.
    mutating func decide(
        _ cells: [CellRate.Cell], keys: [String], replicas: Int64, now: Int64, force: Bool = false
    ) -> CellRate.Outcome {
        let own = zip(cells, keys).map { cell, key in
            let share = max(1, cell.burst / replicas)
            return CellRate.Cell(
                interval: cell.interval * replicas, burst: cell.cost <= cell.burst ? max(share, cell.cost) : share,
                cost: cell.cost, arrival: arrivals.value(key)
            )
        }
        let outcome = CellRate.decide(own, now: now, force: force)
        for (key, verdict) in zip(keys, outcome.verdicts) {
            arrivals.set(key, verdict.arrival)
            untold.insert(key)
        }
        // Keys that made room for others are forgotten here too; only now and then, since it looks at all.
        if untold.count > 2 * arrivals.capacity { untold = untold.filter { arrivals.value($0) != nil } }
        return outcome
    }
}
