internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import HTTPEdge
internal import Storage
internal import Synchronization

/// One version of the limits, ready to be asked. Immutable: a change replaces the whole.
final class RateLimitTable: Sendable {
    /// 0 for the start-up configuration.
    let version: Int
    let rules: RateLimitRules
    let changedBy: String?
    let changedAt: Date?
    /// Whether tokens are limited at all.
    let countsTokens: Bool
    /// How many tasks with one label may be at work.
    let labelLimits: LabelLimits

    private let roles: [String: RatePolicy]
    private let tenants: [String: RatePolicy]
    private let routes: [String: RatePolicy]
    private let tokens: [String: RatePolicy]
    private let closed: Set<String>
    /// What was put together for callers with a token, who come again.
    private let prepared = Mutex<[Question: Prepared]>([:])

    /// What is counted for a request, and what to do while nobody can count.
    typealias Prepared = (batch: RateBatch, failure: Coordination.RateLimiter.Failure)

    private struct Question: Hashable {
        let principal: Principal
        let route: String
        let permission: Permission?
        let cost: Int
        let tokens: Int
    }

    /// Forgotten all at once beyond that.
    private static let preparedMax = 4096

    /// What stands for a tenant where nobody is known; no tenant can be called so.
    static let noTenant = "-"
    static let tenantPolicy = "tenant"
    static let tokenPolicy = "tokens"

    init(_ rules: RateLimitRules, version: Int = 0, changedBy: String? = nil, changedAt: Date? = nil) throws {
        self.rules = rules
        self.version = version
        self.changedBy = changedBy
        self.changedAt = changedAt
        roles = try Self.policies(rules.roles) { $0 }
        tenants = try Self.policies(rules.tenants) { _ in Self.tenantPolicy }
        routes = try Self.policies(rules.routes) { $0 }
        tokens = try Self.policies(rules.tokens) { _ in Self.tokenPolicy }
        closed = Set(rules.closed)
        countsTokens = !rules.tokens.isEmpty
        labelLimits = Self.labelLimits(rules.concurrency)
    }

    private static func labelLimits(_ rules: [String: [TaskLabel: Int]]) -> LabelLimits {
        var tenants: [TenantID: [TaskLabel: Int]] = [:]
        for (name, limits) in rules {
            if let tenant = TenantID(name) { tenants[tenant] = limits }
        }
        return LabelLimits(tenants: tenants, others: rules[RateLimitRules.everyTenant] ?? [:])
    }

    private static func policies(
        _ rules: [String: RateLimitRules.Rule], name: (String) -> String
    ) throws -> [String: RatePolicy] {
        var policies: [String: RatePolicy] = [:]
        for (key, rule) in rules {
            policies[key] = try RatePolicy(
                name: name(key), limit: rule.limit, period: .seconds(rule.periodSeconds), burst: rule.burst)
        }
        return policies
    }

    /// All that one request is counted against, to be decided together.
    func prepared(_ request: RateLimitRequest) -> Prepared {
        guard let principal = request.principal else { return prepare(request) }
        let question = Question(
            principal: principal, route: request.route, permission: request.permission, cost: request.cost,
            tokens: request.tokens
        )
        if let known = prepared.withLock({ $0[question] }) { return known }
        let fresh = prepare(request)
        prepared.withLock { prepared in
            if prepared.count >= Self.preparedMax { prepared.removeAll() }
            prepared[question] = fresh
        }
        return fresh
    }

    private func prepare(_ request: RateLimitRequest) -> Prepared {
        let (charges, scope, failure) = charges(request)
        return (RateBatch(charges, scope: scope), failure)
    }

    private func charges(
        _ request: RateLimitRequest
    ) -> (charges: [RateCharge], scope: String, failure: Coordination.RateLimiter.Failure) {
        var charges: [RateCharge] = []
        guard let principal = request.principal else {
            let key = "address:\(request.address)"
            // Logins have a count of their own instead of the one of all who bring no token.
            if let policy = routes[request.route] ?? roles[Role.anonymous.rawValue] {
                charges.append(RateCharge(policy: policy, key: key, cost: request.cost))
            }
            return (charges, Self.noTenant, closed.contains(request.route) ? .closed : .degraded)
        }
        let tenant = principal.tenant.text
        let caller = "\(principal.role.rawValue):\(principal.subject)"
        func charge(_ policy: RatePolicy?, _ key: String, _ cost: Int) {
            if let policy { charges.append(RateCharge(policy: policy, key: key, cost: cost)) }
        }
        charge(roles[principal.role.rawValue], caller, request.cost)
        charge(Self.own(tenants, tenant), tenant, request.cost)
        charge(routes[request.route], caller, request.cost)
        if let permission = request.permission { charge(routes[permission.rawValue], caller, request.cost) }
        if request.tokens > 0 { charge(tokenPolicy(of: tenant), tenant, request.tokens) }
        let isClosed =
            closed.contains(request.route) || request.permission.map { closed.contains($0.rawValue) } ?? false
        return (charges, tenant, isClosed ? .closed : .degraded)
    }

    func tokenPolicy(of tenant: String) -> RatePolicy? { Self.own(tokens, tenant) }

    /// The policy that a name in the counters means now.
    func policy(scope: String, name: String) -> RatePolicy? {
        switch name {
        case Self.tenantPolicy: Self.own(tenants, scope)
        case Self.tokenPolicy: tokenPolicy(of: scope)
        default: roles[name] ?? routes[name]
        }
    }

    private static func own(_ policies: [String: RatePolicy], _ tenant: String) -> RatePolicy? {
        if policies.isEmpty { return nil }
        return policies[tenant] ?? policies[RateLimitRules.everyTenant]
    }
}
