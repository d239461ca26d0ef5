package import Contracts
package import HTTPTypes

/// What is to be counted.
package struct RateLimitRequest: Sendable, Equatable {
    /// Nil on public routes; then the address is who is limited.
    package let principal: Principal?
    package let address: String
    /// The operation's id.
    package let route: String
    package let cost: Int

    package init(principal: Principal?, address: String, route: String, cost: Int) {
        self.principal = principal
        self.address = address
        self.route = route
        self.cost = cost
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

    package let policies: [Policy]
    /// Seconds until the request would be admitted; nil when it is, or never will be.
    package let retryAfterSeconds: Int?
    package let isAdmitted: Bool

    package init(policies: [Policy], isAdmitted: Bool, retryAfterSeconds: Int? = nil) {
        self.policies = policies
        self.isAdmitted = isAdmitted
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), one item a policy.
    package var headers: [(HTTPField.Name, String)] {
        if policies.isEmpty { return [] }
        let quotas = policies.map { "\"\($0.name)\";q=\($0.quota);w=\($0.windowSeconds)" }
        let left = policies.map { "\"\($0.name)\";r=\(max(0, $0.remaining));t=\(max(0, $0.resetSeconds))" }
        return [(.rateLimitPolicy, quotas.joined(separator: ", ")), (.rateLimit, left.joined(separator: ", "))]
    }

    /// The 429, naming what was violated; nil when the request is admitted.
    package var problem: Problem? {
        if isAdmitted { return nil }
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
