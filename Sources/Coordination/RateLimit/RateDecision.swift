/// What the rate limiter says to one request, with what its answer's headers need.
package struct RateDecision: Sendable, Hashable {
    /// By whose count it was decided.
    package enum Mode: String, Sendable, Hashable {
        /// By Redis: all replicas together.
        case fleet
        /// Redis is away: by this replica alone, at the limit divided by the replicas.
        case degraded
        /// Redis is away and this request may not pass uncounted.
        case closed
    }

    /// How one charge's policy stands after the decision.
    package struct Standing: Sendable, Hashable {
        package let policy: RatePolicy
        /// Units that could be taken at once now; the header's `r`.
        package let remaining: Int
        /// Until the whole burst is there again; the header's `t`.
        package let reset: Duration
        /// Whether this policy stood against the request.
        package let violated: Bool
    }

    package let allowed: Bool
    package let mode: Mode
    /// One for each charge, in the order given; empty when `mode` is `closed`.
    package let standings: [Standing]
    /// After which the same request could pass if nothing else is asked meanwhile; nil when allowed or never.
    package let retryAfter: Duration?
    /// The cost is above a policy's burst: no waiting helps, the request must become smaller.
    package let neverAdmissible: Bool

    /// The names of the policies that stood against the request.
    package var violated: [String] { standings.filter(\.violated).map(\.policy.name) }
}
