internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import HTTPEdge

/// How many requests each role may make in a minute, and how one request is counted.
struct RateLimits: Sendable {
    /// Requests per minute.
    static let defaults: [Role: Int] = [
        .admin: 100, .operator: 50, .developer: 30, .observer: 20, .agent: 300, .anonymous: 5,
    ]
    static let perMinuteMax = 60_000_000

    private let policies: [Role: RatePolicy]

    /// - Parameter perMinute: replaces the default of the roles it names.
    init(perMinute: [Role: Int] = [:]) throws {
        var policies: [Role: RatePolicy] = [:]
        for (role, count) in Self.defaults.merging(perMinute, uniquingKeysWith: { $1 }) {
            policies[role] = try RatePolicy(name: role.rawValue, limit: count, period: .seconds(60), burst: count)
        }
        self.policies = policies
    }

    /// What the edge asks: each principal has its own count, and so has each address without a token.
    func limiter(_ counters: Coordination.RateLimiter) -> HTTPEdge.RateLimiter {
        { request in
            let role = request.principal?.role ?? .anonymous
            guard let policy = policies[role] else { return RateLimitDecision(policies: [], isAdmitted: true) }
            let key = request.principal.map { "\(role.rawValue):\($0.subject)" } ?? "address:\(request.address)"
            let tenant = request.principal?.tenant.text ?? "anonymous"
            let decision = await counters.decide(
                [RateCharge(policy: policy, key: key, cost: request.cost)], scope: tenant)
            return Self.answer(decision)
        }
    }

    private static func answer(_ decision: RateDecision) -> RateLimitDecision {
        RateLimitDecision(
            policies: decision.standings.map { standing in
                RateLimitDecision.Policy(
                    name: standing.policy.name, quota: standing.policy.limit,
                    windowSeconds: Int(standing.policy.period.components.seconds), remaining: standing.remaining,
                    resetSeconds: secondsUp(standing.reset), isViolated: standing.violated
                )
            },
            isAdmitted: decision.allowed,
            retryAfterSeconds: decision.neverAdmissible ? nil : decision.retryAfter.map(secondsUp)
        )
    }

    private static func secondsUp(_ duration: Duration) -> Int {
        Int(duration.components.seconds) + (duration.components.attoseconds > 0 ? 1 : 0)
    }
}
