package import Contracts
package import HTTPTypes

/// What is to be counted.
package struct RateLimitRequest: Sendable, Equatable {
    /// Nil on public routes; then the address is who is limited.
    package let principal: Principal?
    /// The caller's; of an IPv6 one its network of 64 bits.
    package let address: String
    /// The operation's id.
    package let route: String
    /// What the route requires; nil on public routes.
    package let permission: Permission?
    package let cost: Int
    /// Model tokens it is expected to use; 0 when it uses none.
    package let tokens: Int

    package init(
        principal: Principal?, address: String, route: String, permission: Permission? = nil, cost: Int,
        tokens: Int = 0
    ) {
        self.principal = principal
        self.address = address
        self.route = route
        self.permission = permission
        self.cost = cost
        self.tokens = tokens
    }
}

/// Asks whoever counts. The service glues it to its counters; the edge knows none.
package typealias RateLimiter = @Sendable (RateLimitRequest) async throws -> RateLimitDecision

/// What the limits said, in plain values.
package struct RateLimitDecision: Sendable, Equatable {
    /// One policy and what is left of it.
    package struct Policy: Sendable, Equatable {
        /// A short token such as `role` or `tenant`.
        package let name: String
        /// Requests per window.
        package let quota: Int
        package let windowSeconds: Int
        package let remaining: Int
        /// Until the quota is whole again.
        package let resetSeconds: Int
        package let isViolated: Bool

        package init(
            name: String, quota: Int, windowSeconds: Int, remaining: Int, resetSeconds: Int, isViolated: Bool = false
        ) {
            self.name = name
            self.quota = quota
            self.windowSeconds = windowSeconds
            self.remaining = remaining
            self.resetSeconds = resetSeconds
            self.isViolated = isViolated
        }
    }

    /// By whose count it was decided.
    package enum Mode: String, Sendable, Equatable {
        /// All replicas together.
        case fleet
        /// This replica alone, at its share of the limit.
        case degraded
        /// Nobody could count, and the route is not served uncounted.
        case closed
    }

    package let policies: [Policy]
    package let mode: Mode
    /// Seconds until the request would be admitted; nil when it is, or never will be.
    package let retryAfterSeconds: Int?
    package let isAdmitted: Bool

    package init(policies: [Policy], isAdmitted: Bool, retryAfterSeconds: Int? = nil, mode: Mode = .fleet) {
        self.policies = policies
        self.mode = mode
        self.isAdmitted = isAdmitted
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), one item a policy; and
    /// `RateLimit-Mode` when it was not the fleet that counted.
    package var headers: [(HTTPField.Name, String)] {
        let mode = mode == .fleet ? [] : [(HTTPField.Name.rateLimitMode, mode.rawValue)]
        if policies.isEmpty { return mode }
        let quotas = policies.map { "\"\($0.name)\";q=\($0.quota);w=\($0.windowSeconds)" }
        let left = policies.map { "\"\($0.name)\";r=\(max(0, $0.remaining));t=\(max(0, $0.resetSeconds))" }
        return mode + [(.rateLimitPolicy, quotas.joined(separator: ", ")), (.rateLimit, left.joined(separator: ", "))]
    }

    /// The 429, naming what was violated, or the 503 of a route that is closed while nobody counts; nil when the
    /// request is admitted.
    package var problem: Problem? {
        if isAdmitted { return nil }
        if mode == .closed {
            return Problem(
                .unavailable, "Requests cannot be counted now, and this route is not served uncounted. Try again.",
                retryAfterSeconds: retryAfterSeconds ?? 1
            )
        }
        let violated = policies.filter(\.isViolated)
        let list = JSONWriter.array { writer in
            for policy in violated {
                writer.element(object: {
                    $0.field("name", policy.name)
                    $0.field("quota", policy.quota)
                    $0.field("window_seconds", policy.windowSeconds)
                })
            }
        }
        let names = violated.map(\.name).joined(separator: ", ")
        let advice =
            retryAfterSeconds.map { "Try again in \(max(1, $0)) s." } ?? "It costs more than the limit ever allows."
        return Problem(
            .rateLimited, "The limit is used up: \(names). \(advice)", retryAfterSeconds: retryAfterSeconds,
            members: [Problem.Member(name: "violated_policies", value: list)]
        )
    }
}
