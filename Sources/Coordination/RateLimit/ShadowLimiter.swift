/// This replica's own count, kept warm beside the fleet's so that it can take over at any moment.
///
/// A TAT is a point in time, not a number of units, so what Redis says carries over unchanged: who had used up the
/// fleet's credit has used up the shadow's, and regains it over the same time, at the rate divided by the replicas.
///
/// What the others have taken since this replica asked last it cannot know. So when the fleet's count is lost, each of
/// several replicas takes every key to be used up but for one unit: together they then grant at most the limit and one
/// for each replica, however uneven the load was.
struct ShadowLimiter {
    private var arrivals: RecentKeys
    /// Keys of which something is known here that Redis has not been told yet.
    private var untold: Set<String> = []
    /// Since when the fleet's count does not stand alone; nil while it does.
    private var lostAt: Int64?

    /// - Parameter capacity: the most keys remembered; one forgotten starts as if never used.
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

    /// From now on some replica counts alone, so that this one stays within its share.
    mutating func share(since now: Int64) { if lostAt == nil { lostAt = now } }

    /// The fleet's count stands alone again.
    mutating func endShare() { lostAt = nil }

    /// From now on this replica counts alone. Redis may have forgotten everything when it is back, so that all that is
    /// known here is to be told then.
    mutating func lost(now: Int64) {
        share(since: now)
        for (key, arrival) in arrivals.all where arrival > now { untold.insert(key) }
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

    /// Takes out all that is to be told: what is not over already.
    mutating func takeUntold(now: Int64) -> [(key: String, floor: Int64)] {
        defer { untold = [] }
        return untold.compactMap { key in
            guard let arrival = arrivals.value(key), arrival > now else { return nil }
            return (key, arrival - now)
        }
    }

    /// Redis did not take it after all.
    mutating func tellAgain(_ keys: [String]) { untold.formUnion(keys) }

    var hasUntold: Bool { !untold.isEmpty }

    /// Decides for a fleet of `replicas`: a `replicas`-th of the rate and of the burst.
    ///
    /// A cost up to the policy's burst stays admissible, or a request would be refused for ever only because Redis is
    /// away; it then needs whole credit, and takes the longer to come back.
    ///
    /// - Parameter isTold: whether Redis is asked as well, so that there is nothing to tell it later.
    mutating func decide(
        _ cells: [CellRate.Cell], keys: [String], replicas: Int64, now: Int64, force: Bool = false,
        isTold: Bool = false
    ) -> CellRate.Outcome {
        let own = zip(cells, keys).map { cell, key in
            let share = max(1, cell.burst / replicas)
            let interval = cell.interval * replicas
            var arrival = arrivals.value(key)
            if let lostAt, replicas > 1 { arrival = max(arrival ?? now, lostAt + (share - 1) * interval) }
            return CellRate.Cell(
                interval: interval, burst: cell.cost <= cell.burst ? max(share, cell.cost) : share,
                cost: cell.cost, arrival: arrival
            )
        }
        let outcome = CellRate.decide(own, now: now, force: force)
        for (key, verdict) in zip(keys, outcome.verdicts) {
            arrivals.set(key, verdict.arrival)
            if !isTold { untold.insert(key) }
        }
        // Keys that made room for others are forgotten here too; only now and then, since it looks at all.
        if untold.count > 2 * arrivals.capacity { untold = untold.filter { arrivals.value($0) != nil } }
        return outcome
    }

    /// Gives back what `decide` allowed and the fleet did not.
    mutating func giveBack(_ cells: [CellRate.Cell], keys: [String], replicas: Int64) {
        for (cell, key) in zip(cells, keys) {
            guard let arrival = arrivals.value(key) else { continue }
            arrivals.set(key, arrival - cell.cost * cell.interval * replicas)
        }
    }
}
