/// This replica's own count, kept warm beside the fleet's so that it can take over at any moment.
///
/// A TAT is a point in time, not a number of units, so what Redis says carries over unchanged: who had used up the
/// fleet's credit has used up the shadow's, and regains it over the same time, at the rate divided by the replicas.
///
/// What the others have taken since this replica asked last it cannot know. So when the fleet's count is lost, each of
/// several replicas takes every key to be used up but for one unit: together they then grant at most the limit and one
/// for each replica, however uneven the load was.
struct ShadowLimiter {
    /// For how long a reply of an older instant counts as overtaken by one that was learned before it, in microseconds;
    /// one that comes even later is of a server whose clock went back.
    static let overtaking: Int64 = 1_000_000

    private struct Count {
        /// The TAT.
        var arrival: Int64
        /// The fleet's decision it was learned from last, by Redis' clock, and when that was, by this replica's.
        var learned: (fleetNow: Int64, at: Int64)?
    }

    private var counts: RecentKeys<Count>
    /// Keys of which something is known here that Redis has not been told yet.
    private var untold: Set<String> = []
    /// Since when the fleet's count does not stand alone; nil while it does.
    private var lostAt: Int64?

    /// - Parameter capacity: the most keys remembered; one forgotten starts as if never used.
    init(capacity: Int) { counts = RecentKeys(capacity: capacity) }

    var count: Int { counts.count }

    var all: [(key: String, arrival: Int64)] { counts.all.map { ($0.key, $0.value.arrival) } }

    /// Learns what the fleet decided, which moves a TAT back, too, where somebody settled for less. Replies overtake
    /// each other, so only one of a later instant does that; and none does while Redis has not been told of a key.
    mutating func learn(_ keys: [String], _ outcome: CellRate.Outcome, now: Int64) {
        for (key, verdict) in zip(keys, outcome.verdicts) {
            var arrival = verdict.arrival
            if let known = counts.value(key) {
                if untold.contains(key) {
                    guard arrival >= known.arrival else { continue }
                } else if let learned = known.learned, now - learned.at < Self.overtaking {
                    if outcome.at < learned.fleetNow { continue }
                    // Of one instant are the requests of a run, and the last of them has the highest TAT.
                    if outcome.at == learned.fleetNow { arrival = max(arrival, known.arrival) }
                }
            }
            untold.remove(key)
            counts.set(key, Count(arrival: arrival, learned: (outcome.at, now)))
        }
    }

    private mutating func set(_ key: String, _ arrival: Int64) {
        counts.set(key, Count(arrival: arrival, learned: counts.value(key)?.learned))
    }

    /// From now on some replica counts alone, so that this one stays within its share.
    mutating func share(since now: Int64) { if lostAt == nil { lostAt = now } }

    /// The fleet's count stands alone again.
    mutating func endShare() { lostAt = nil }

    /// From now on this replica counts alone. Redis may have forgotten everything when it is back, so that all that is
    /// known here is to be told then.
    mutating func lost(now: Int64) {
        share(since: now)
        for (key, arrival) in all where arrival > now { untold.insert(key) }
    }

    /// What Redis must be told when it is back: of each key how far its TAT lies ahead because of what was granted
    /// here alone. Without it the whole burst would be there once more after every outage. Nil: nothing to tell.
    mutating func floors(_ keys: [String], now: Int64) -> [Int64]? {
        if untold.isEmpty { return nil }
        return keys.map { key in
            guard untold.contains(key) else { return 0 }
            let floor = max(0, (counts.value(key)?.arrival ?? now) - now)
            if floor == 0 { untold.remove(key) }
            return floor
        }
    }

    /// Takes out all that is to be told: what is not over already.
    mutating func takeUntold(now: Int64) -> [(key: String, floor: Int64)] {
        defer { untold = [] }
        return untold.compactMap { key in
            guard let arrival = counts.value(key)?.arrival, arrival > now else { return nil }
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
            var arrival = counts.value(key)?.arrival
            if let lostAt, replicas > 1 { arrival = max(arrival ?? now, lostAt + (share - 1) * interval) }
            return CellRate.Cell(
                interval: interval, burst: cell.cost <= cell.burst ? max(share, cell.cost) : share,
                cost: cell.cost, arrival: arrival
            )
        }
        let outcome = CellRate.decide(own, now: now, force: force)
        for (key, verdict) in zip(keys, outcome.verdicts) {
            set(key, verdict.arrival)
            if !isTold { untold.insert(key) }
        }
        // Keys that made room for others are forgotten here too; only now and then, since it looks at all.
        if untold.count > 2 * counts.capacity { untold = untold.filter { counts.value($0) != nil } }
        return outcome
    }

    /// Gives back what `decide` allowed and the fleet did not.
    mutating func giveBack(_ cells: [CellRate.Cell], keys: [String], replicas: Int64) {
        for (cell, key) in zip(cells, keys) {
            guard let arrival = counts.value(key)?.arrival else { continue }
            set(key, arrival - cell.cost * cell.interval * replicas)
        }
    }
}
