/// How much of one policy one key has used.
package struct RateUse: Sendable, Hashable {
    /// The tenant, or what stands for one.
    package let scope: String
    package let policy: RatePolicy
    /// Who is counted.
    package let key: String
    /// Until the whole burst is there again.
    package let reset: Duration
    /// The used part of the burst; above 1 is a debt.
    package let used: Double
    /// Units that could be taken at once now.
    package let remaining: Int

    /// - Parameter reset: microseconds until the key's credit is whole.
    init(scope: String, policy: RatePolicy, key: String, reset: Int64) {
        self.scope = scope
        self.policy = policy
        self.key = key
        self.reset = .microseconds(reset)
        let capacity = Int64(policy.burst) * policy.interval
        used = Double(reset) / Double(capacity)
        remaining = Int(max(0, (capacity - reset) / policy.interval))
    }
}
