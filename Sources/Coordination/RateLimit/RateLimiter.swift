package import Logging
package import Redis
internal import Synchronization

/// Decides whether a request may pass its rate policies: by Redis for the whole fleet, or, while Redis is away, by
/// this replica alone (`degraded`) or not at all (`closed`).
///
/// All charges of a request are decided in one step, all or nothing: a refused request takes nothing. Nothing here
/// throws, or waits longer than twice the connection's command timeout.
package final class RateLimiter: Sendable {
    /// What to do while Redis is away.
    package enum Failure: Sendable, Hashable {
        /// Count in this process: the limit divided by the replicas.
        case degraded
        /// Refuse.
        case closed
    }

    /// Bounds and clock of a limiter.
    package struct Settings: Sendable {
        /// The most keys the shadow remembers.
        package var shadowKeys: Int
        /// How long nobody asks a Redis that has just failed.
        package var rest: Duration
        /// Microseconds of a clock that never goes back.
        package var now: @Sendable () -> Int64

        package init(
            shadowKeys: Int = 10_000, rest: Duration = .milliseconds(500), now: (@Sendable () -> Int64)? = nil
        ) {
            self.shadowKeys = shadowKeys
            self.rest = rest
            let start = ContinuousClock.now
            self.now = now ?? { (ContinuousClock.now - start).microsecondsUp }
        }
    }

    /// The most charges of one request.
    package static let maxCharges = 16

    private struct Local {
        var shadow: ShadowLimiter
        var gate: FleetGate
    }

    private let redis: RedisConnection
    private let combiner: RateCombiner
    private let replicas: @Sendable () -> Int
    private let settings: Settings
    private let logger: Logger
    private let local: Mutex<Local>

    /// - Parameter replicas: how many processes share the limits now; anything below 1 counts as 1. Called at each
    ///   decision without Redis, so it must be quick.
    package init(
        redis: RedisConnection, replicas: @escaping @Sendable () -> Int, logger: Logger, settings: Settings = Settings()
    ) {
        self.redis = redis
        combiner = RateCombiner(redis: redis, now: settings.now)
        self.replicas = replicas
        self.settings = settings
        self.logger = logger
        local = Mutex(
            Local(
                shadow: ShadowLimiter(capacity: settings.shadowKeys),
                gate: FleetGate(rest: settings.rest.microsecondsUp)
            )
        )
    }

    /// Decides one request and, if it passes, charges it.
    ///
    /// - Parameters:
    ///   - charges: at most `maxCharges`; charges of the same policy and key are added up. A cost below zero counts as
    ///     zero, which only asks.
    ///   - tenant: everything counted in one call lies under this name, in one slot of a cluster.
    package func decide(
        _ charges: [RateCharge], scope tenant: String, failure: Failure = .degraded
    ) async -> RateDecision {
        await decide(RateBatch(charges, scope: tenant), failure: failure)
    }

    /// The same for charges that were put together before.
    package func decide(_ batch: RateBatch, failure: Failure = .degraded) async -> RateDecision {
        let (outcome, mode) = await outcome(batch, force: false, failure: failure)
        guard let outcome else {
            let wait = local.withLock { $0.gate.remaining(now: settings.now()) }
            return RateDecision(
                allowed: false, mode: .closed, standings: [],
                retryAfter: max(.microseconds(wait), .milliseconds(1)), neverAdmissible: false
            )
        }
        return batch.decision(outcome, mode: mode)
    }

    /// Books a correction of charges made before: what an estimate was too low (a cost above zero, which may leave a
    /// debt of up to one burst) or too high (below zero, which gives back up to whole credit). Never refused.
    package func settle(_ charges: [RateCharge], scope tenant: String) async {
        _ = await outcome(RateBatch(charges, tenant: tenant, floor: .min), force: true, failure: .degraded)
    }

    /// Those who have used most of what they may, the most used first, as this process last saw them: what the fleet
    /// counted, or itself while Redis is away. At most `shadowKeys` are looked at, and Redis is not asked.
    ///
    /// - Parameter policy: what counts for a policy's name in a scope now; nil leaves the key out.
    package func mostUsed(
        limit: Int, policy: (_ scope: String, _ name: String) -> RatePolicy?
    ) -> [RateUse] {
        let now = settings.now()
        let known = local.withLock { $0.shadow.all }
        let uses = known.compactMap { key, arrival -> RateUse? in
            guard arrival > now, let parts = RedisKey.parts(key), parts.count == 5,
                let policy = policy(parts[2], parts[3])
            else { return nil }
            return RateUse(scope: parts[2], policy: policy, key: parts[4], reset: arrival - now)
        }
        return Array(uses.sorted { ($1.used, $0.key) < ($0.used, $1.key) }.prefix(limit))
    }

    private func outcome(
        _ batch: RateBatch, force: Bool, failure: Failure
    ) async -> (CellRate.Outcome?, RateDecision.Mode) {
        guard !batch.cells.isEmpty else { return (CellRate.Outcome(allowed: true, verdicts: []), .fleet) }
        var batch = batch
        let now = settings.now()
        let (pass, floors) = local.withLock { local in
            let pass = local.gate.enter(now: now)
            return (pass, pass == .skip ? nil : local.shadow.floors(batch.keys, now: now))
        }
        if let floors { batch.raise(floors) }
        if pass != .skip, let outcome = await ask(batch, force: force, pass: pass) { return (outcome, .fleet) }
        if failure == .closed { return (nil, .closed) }
        let share = Int64(max(1, min(replicas(), 100_000)))
        let outcome = local.withLock { local in
            local.shadow.decide(
                batch.cells, keys: batch.keys, replicas: share, now: settings.now(), force: force
            )
        }
        return (outcome, .degraded)
    }

    /// Redis' decision, or nil when there is none.
    private func ask(_ batch: RateBatch, force: Bool, pass: FleetGate.Pass) async -> CellRate.Outcome? {
        do throws(RedisError) {
            let outcome = try await force ? settled(batch) : combiner.decide(keys: batch.keys, cells: batch.cells)
            let change = local.withLock { local in
                local.shadow.learn(batch.keys, outcome)
                return local.gate.succeeded(pass)
            }
            report(change, nil)
            return outcome
        } catch {
            let change = local.withLock { local in
                // A caller that left, or a key of absurd length, says nothing about Redis.
                if error.code == .cancelled || error.code == .tooLarge {
                    local.gate.abandoned(pass)
                    return FleetGate.Change.none
                }
                return local.gate.failed(pass, now: settings.now())
            }
            report(change, error)
            return nil
        }
    }

    private func settled(_ batch: RateBatch) async throws(RedisError) -> CellRate.Outcome {
        let reply = try await redis.evaluate(
            RateScript.script, keys: batch.keys, arguments: RateScript.arguments(batch.cells, force: true)
        )
        guard let outcome = RateScript.outcomes(reply, cells: batch.cells, requests: 1, now: settings.now())?.first
        else { throw RedisError(.protocolViolation, "The rate script's answer has an unknown shape.") }
        return outcome
    }

    private func report(_ change: FleetGate.Change, _ error: RedisError?) {
        switch change {
        case .none: return
        case .lost:
            logger.warning(
                "Rate limits are degraded: Redis gives no answer in time, each replica counts alone.",
                metadata: ["code": "\(error?.code.rawValue ?? "")", "reason": "\(error?.message ?? "")"]
            )
        case .regained:
            logger.notice("Rate limits are counted by the fleet again.")
        }
    }
}
