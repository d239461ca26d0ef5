internal import Bootstrap
internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import HTTPEdge
internal import Logging
internal import MessageBus
internal import Redis
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// The limits in force here, and the counters they are counted with.
final class RateLimits: Sendable {
    /// The most users of limits that are shown.
    static let usesMax = 50

    let counters: Coordination.RateLimiter
    private let current: Mutex<RateLimitTable>

    init(_ startUp: RateLimitRules, redis: RedisConnection, census: ReplicaCensus, logger: Logger) throws {
        counters = Coordination.RateLimiter(
            redis: redis, replicas: { census.count() }, logger: logger,
            settings: .init(peersAlone: { census.isAnyoneElseAlone }, tellPeers: { census.say(isAlone: $0) }))
        current = Mutex(try RateLimitTable(startUp))
    }

    var table: RateLimitTable { current.withLock { $0 } }

    /// What keeps counters and limits in step with the fleet.
    func services(store: RateLimitStore, bus: MessageBus, logger: Logger) -> [any Service] {
        [
            Running("rate-limits", run: counters.run),
            RateLimitKeeper.service(self, store: store, bus: bus, logger: logger),
        ]
    }

    /// Takes over what was stored, unless something newer is in force already.
    func adopt(_ stored: StoredRateLimits) throws {
        guard stored.version > table.version else { return }
        let table = try RateLimitTable(
            RateLimitRules(json: stored.document), version: stored.version, changedBy: stored.changedBy,
            changedAt: stored.changedAt
        )
        current.withLock { current in
            if table.version > current.version { current = table }
        }
    }

    /// What the edge asks: all of a request's policies in one call.
    var limiter: HTTPEdge.RateLimiter {
        { [self] request in
            let (batch, failure) = table.prepared(request)
            return Self.answer(await counters.decide(batch, failure: failure))
        }
    }

    /// Corrects estimates, by the tenants' own counts.
    /// - Parameter differences: what was used beyond the estimate, or, below zero, less.
    func settleTokens(_ differences: [TenantID: Int]) async {
        let table = table
        for (tenant, tokens) in differences where tokens != 0 {
            guard let policy = table.tokenPolicy(of: tenant.text) else { continue }
            await counters.settle(
                [RateCharge(policy: policy, key: tenant.text, cost: tokens)], scope: tenant.text)
        }
    }

    /// Who is nearest to a limit or beyond it, as this replica knows; the nearest first.
    ///
    /// - Parameter tenant: nil shows everybody's.
    func uses(of tenant: TenantID?) -> [RateUse] {
        let table = table
        return counters.mostUsed(limit: Self.usesMax) { scope, name in
            tenant.map { $0.text == scope } ?? true ? table.policy(scope: scope, name: name) : nil
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
            retryAfterSeconds: decision.neverAdmissible ? nil : decision.retryAfter.map(secondsUp),
            mode: mode(decision.mode)
        )
    }

    private static func mode(_ mode: RateDecision.Mode) -> RateLimitDecision.Mode {
        switch mode {
        case .fleet: .fleet
        case .degraded: .degraded
        case .closed: .closed
        }
    }

    static func secondsUp(_ duration: Duration) -> Int {
        Int(duration.components.seconds) + (duration.components.attoseconds > 0 ? 1 : 0)
    }
}
