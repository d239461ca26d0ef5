/// This replica's own count, kept warm beside the fleet's so that it can take over at any moment.
///
/// A TAT is a point in time, not a number of units, so what Redis says carries over unchanged: who had used up the
/// fleet's credit has used up the shadow's, and regains it over the same time, at the rate divided by the replicas.
struct ShadowLimiter {
    private var arrivals: RecentKeys

    /// - Parameter capacity: the most keys remembered; one forgotten starts from whole credit.
    init(capacity: Int) { arrivals = RecentKeys(capacity: capacity) }

    var count: Int { arrivals.count }

    /// Learns what the fleet decided. Replies overtake each other, so a TAT never moves back here, except by `settle`.
    mutating func learn(_ keys: [String], _ outcome: CellRate.Outcome) {
        for (key, verdict) in zip(keys, outcome.verdicts) {
            arrivals.set(key, max(arrivals.value(key) ?? verdict.arrival, verdict.arrival))
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
        for (key, verdict) in zip(keys, outcome.verdicts) { arrivals.set(key, verdict.arrival) }
        return outcome
    }
}
