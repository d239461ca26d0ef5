/// How often something may happen: `limit` per `period` in the long run, and up to `burst` at once.
package struct RatePolicy: Sendable, Hashable {
    /// Appears in the answer's headers and in Redis keys; policies of one name share their count.
    package let name: String
    package let limit: Int
    package let period: Duration
    /// The largest cost one request can ever have.
    package let burst: Int

    /// Time is counted in whole microseconds and the interval between two units is rounded up, so the rate granted is
    /// exact or lower, by at most `limit` parts in the period's microseconds (1.7 % for a million a minute, nothing for
    /// the usual limits).
    ///
    /// - Throws: `invalidPolicy` unless the name is not empty, `limit` and `burst` are above zero, there is at most one
    ///   unit a microsecond, and regaining the whole burst takes at most 366 days.
    package init(name: String, limit: Int, period: Duration, burst: Int) throws(CoordinationError) {
        guard !name.isEmpty, limit > 0, burst > 0, period > .zero, period <= Self.longest,
            Int64(limit) <= period.microsecondsUp
        else {
            throw CoordinationError(
                .invalidPolicy, "Rate policy '\(name)' needs a name, limit and burst of 1 or more, and a sound period."
            )
        }
        let interval = (period.microsecondsUp + Int64(limit) - 1) / Int64(limit)
        let (capacity, overflow) = interval.multipliedReportingOverflow(by: Int64(burst))
        guard !overflow, capacity <= Self.longest.microsecondsUp else {
            throw CoordinationError(
                .invalidPolicy, "Rate policy '\(name)' would take over 366 days to regain its burst."
            )
        }
        self.name = name
        self.limit = limit
        self.period = period
        self.burst = burst
    }

    private static let longest = Duration.seconds(366 * 86400)

    /// Microseconds that one unit of cost takes to come back.
    var interval: Int64 { (period.microsecondsUp + Int64(limit) - 1) / Int64(limit) }
}

/// One policy applied to one key: who is charged, and how much.
package struct RateCharge: Sendable, Hashable {
    package let policy: RatePolicy
    /// Who is counted: a principal, a tenant, an address. Any text; it is escaped before it becomes a key.
    package let key: String
    /// Units to take. Zero only asks; a negative cost gives back, which only `RateLimiter.settle` does.
    package let cost: Int

    package init(policy: RatePolicy, key: String, cost: Int = 1) {
        self.policy = policy
        self.key = key
        self.cost = cost
    }
}
