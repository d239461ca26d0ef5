package import Logging
package import Redis
internal import Synchronization

/// Decides whether a request may pass its rate policies: by Redis for the whole fleet, or, while Redis is away, by
/// this replica alone (`degraded`) or not at all (`closed`).
///
/// With `n` replicas the fleet admits in any window at most `burst + window · rate`, and `n` more when Redis is lost
/// in it: `FleetGate` and `ShadowLimiter` say how.
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
        /// Whether another replica counts alone, or has not told Redis yet what it granted. Called at each decision.
        package var peersAlone: @Sendable () -> Bool
        /// Told when this replica begins to count alone, and when it has told Redis all that it granted.
        package var tellPeers: @Sendable (_ isAlone: Bool) -> Void
        /// Microseconds of a clock that never goes back.
        package var now: @Sendable () -> Int64

        package init(
            shadowKeys: Int = 10_000, rest: Duration = .milliseconds(500),
            peersAlone: @escaping @Sendable () -> Bool = { false },
            tellPeers: @escaping @Sendable (_ isAlone: Bool) -> Void = { _ in }, now: (@Sendable () -> Int64)? = nil
        ) {
            self.shadowKeys = shadowKeys
            self.rest = rest
            self.peersAlone = peersAlone
            self.tellPeers = tellPeers
            let start = ContinuousClock.now
            self.now = now ?? { (ContinuousClock.now - start).microsecondsUp }
        }
    }

    /// The most charges of one request.
    package static let maxCharges = 16

    private struct Local {
        var shadow: ShadowLimiter
        var gate: FleetGate
        /// Somebody is telling Redis what was granted here.
        var isTelling = false
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
                // A probe may wait for a call that was sent before it, and then for its own.
                gate: FleetGate(
                    rest: settings.rest.microsecondsUp,
                    patience: (redis.configuration.commandTimeout * 2 + .milliseconds(100)).microsecondsUp
                )
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
        guard !batch.cells.isEmpty else { return (CellRate.Outcome(allowed: true, verdicts: [], at: 0), .fleet) }
        let (now, peersAlone, share) = (settings.now(), settings.peersAlone(), share)
        var batch = batch
        let (pass, own, floors) = local.withLock { local -> (FleetGate.Pass, CellRate.Outcome?, [Int64]?) in
            let pass = local.gate.enter(now: now, peersAlone: peersAlone)
            if pass == .ask { local.shadow.endShare() } else { local.shadow.share(since: now) }
            // Decided here and now: a moment later this replica may be about to tell what it granted.
            let own =
                pass != .skip || failure == .closed
                ? nil
                : local.shadow.decide(batch.cells, keys: batch.keys, replicas: share, now: now, force: force)
            return (pass, own, pass == .ask ? local.shadow.floors(batch.keys, now: now) : nil)
        }
        if let own { return (own, .degraded) }
        switch pass {
        case .ask:
            if let floors { batch.raise(floors) }
            if let outcome = await ask(batch, force: force, pass: pass) { return (outcome, .fleet) }
        case .both, .probe: return await decideTwice(batch, force: force, failure: failure, pass: pass)
        case .skip: break
        }
        if failure == .closed { return (nil, .closed) }
        return (decideAlone(batch, force: force), .degraded)
    }

    private func decideAlone(_ batch: RateBatch, force: Bool, isTold: Bool = false) -> CellRate.Outcome {
        let (now, share) = (settings.now(), share)
        return local.withLock { local in
            local.shadow.decide(
                batch.cells, keys: batch.keys, replicas: share, now: now, force: force, isTold: isTold)
        }
    }

    private var share: Int64 { Int64(max(1, min(replicas(), 100_000))) }

    /// By this replica's share, and by the fleet's count of what is known to it.
    private func decideTwice(
        _ batch: RateBatch, force: Bool, failure: Failure, pass: FleetGate.Pass
    ) async -> (CellRate.Outcome?, RateDecision.Mode) {
        let own = decideAlone(batch, force: force, isTold: true)
        var asked = batch
        let now = settings.now()
        if let floors = local.withLock({ $0.shadow.floors(batch.keys, now: now) }) { asked.raise(floors) }
        guard own.allowed else {
            // The one that finds out does so all the same, and takes nothing.
            if pass == .probe { _ = await ask(asked.costless, force: false, pass: pass) }
            return (own, .degraded)
        }
        if let outcome = await ask(asked, force: force, pass: pass) {
            if !outcome.allowed { giveBack(batch) }
            return (outcome, .fleet)
        }
        guard failure == .degraded else {
            giveBack(batch)
            return (nil, .closed)
        }
        // What the share has allowed holds, and is to be told.
        local.withLock { $0.shadow.tellAgain(batch.keys) }
        return (own, .degraded)
    }

    private func giveBack(_ batch: RateBatch) {
        let share = share
        local.withLock { $0.shadow.giveBack(batch.cells, keys: batch.keys, replicas: share) }
    }

    /// Redis' decision, or nil when there is none.
    private func ask(_ batch: RateBatch, force: Bool, pass: FleetGate.Pass) async -> CellRate.Outcome? {
        let outcome: CellRate.Outcome
        do throws(RedisError) {
            outcome = try await force ? settled(batch) : combiner.decide(keys: batch.keys, cells: batch.cells)
        } catch {
            failed(pass, error)
            return nil
        }
        let now = settings.now()
        let change = local.withLock { local in
            // Beside the own share the fleet's count would be taken for use of the share.
            if pass == .ask { local.shadow.learn(batch.keys, outcome, now: now) }
            return local.gate.succeeded(pass)
        }
        if change == .returning { await handOver() }
        return outcome
    }

    private func failed(_ pass: FleetGate.Pass, _ error: RedisError) {
        let now = settings.now()
        let change = local.withLock { local in
            // A caller that left, or a key of absurd length, says nothing about Redis.
            if error.code == .cancelled || error.code == .tooLarge {
                local.gate.abandoned(pass)
                return FleetGate.Change.none
            }
            return Self.lose(pass, &local, now: now)
        }
        report(change, error)
    }

    private static func lose(_ pass: FleetGate.Pass, _ local: inout Local, now: Int64) -> FleetGate.Change {
        let change = local.gate.failed(pass, now: now)
        if change == .lost { local.shadow.lost(now: now) }
        return change
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
        case .none, .returning: return
        case .lost:
            settings.tellPeers(true)
            logger.warning(
                "Rate limits are degraded: Redis gives no answer in time, each replica counts alone.",
                metadata: ["code": "\(error?.code.rawValue ?? "")", "reason": "\(error?.message ?? "")"]
            )
        case .regained:
            settings.tellPeers(false)
            logger.notice("Rate limits are counted by the fleet again.")
        }
    }
}

// MARK: Coming back

extension RateLimiter {
    /// Keys told in one call, how long they may be (Redis was never asked with a longer one), and calls at once.
    private static let keysPerCall = 256
    private static let keyBytesMax = 16 * 1024
    private static let callsMax = 8

    /// Looks after Redis until cancelled, so that a replica whom nobody asks notices an outage and its end too: what it
    /// granted is told, and its peers need not wait for it.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.followConnection() }
            group.addTask {
                while true {
                    try await Task.sleep(for: self.settings.rest)
                    await self.probe()
                }
            }
            try await group.waitForAll()
        }
    }

    /// A connection that ended may have ended with its server, and all that it knew.
    private func followConnection() async {
        var wasConnected = false
        for await state in redis.stateChanges() {
            switch state {
            case .connected: wasConnected = true
            case .disconnected(let error):
                guard wasConnected else { continue }
                let now = settings.now()
                report(local.withLock { Self.lose(.ask, &$0, now: now) }, error)
            case .closed: return
            }
        }
    }

    private func probe() async {
        let now = settings.now()
        let pass = local.withLock { local in
            local.gate.isAlone ? local.gate.enter(now: now) : FleetGate.Pass.ask
        }
        switch pass {
        case .ask, .skip: return
        case .both: await handOver()
        case .probe:
            do throws(RedisError) {
                _ = try await redis.command(["PING"])
                let change = local.withLock { $0.gate.succeeded(pass) }
                if change == .returning { await handOver() }
            } catch {
                failed(pass, error)
            }
        }
    }

    /// Tells Redis all that was granted here. Until that is done, and after a failure, the replica stays within its
    /// share, and so do the others.
    private func handOver() async {
        let isMine = local.withLock { local in
            defer { local.isTelling = true }
            return !local.isTelling
        }
        guard isMine else { return }
        defer { local.withLock { $0.isTelling = false } }
        while true {
            let now = settings.now()
            let (untold, change) = local.withLock { local in
                let untold = local.shadow.takeUntold(now: now)
                return (untold, untold.isEmpty ? local.gate.told() : FleetGate.Change.none)
            }
            if untold.isEmpty { return report(change, nil) }
            if let error = await tell(untold) {
                local.withLock { $0.shadow.tellAgain(untold.map(\.key)) }
                return failed(.both, error)
            }
        }
    }

    /// The first error, if any.
    private func tell(_ floors: [(key: String, floor: Int64)]) async -> RedisError? {
        var calls: [ArraySlice<(key: String, floor: Int64)>] = []
        // One call stays in one slot of a cluster.
        let tellable = floors.filter { $0.key.utf8.count <= Self.keyBytesMax }
        for floors in Dictionary(grouping: tellable, by: { RedisKey.slot($0.key) }).values {
            for start in stride(from: 0, to: floors.count, by: Self.keysPerCall) {
                calls.append(floors[start..<min(floors.count, start + Self.keysPerCall)])
            }
        }
        return await withTaskGroup(of: RedisError?.self) { [calls] group in
            var rest = calls[...]
            for call in rest.prefix(Self.callsMax) { group.addTask { await self.raise(call) } }
            rest = rest.dropFirst(Self.callsMax)
            var first: RedisError?
            for await error in group {
                first = first ?? error
                if first == nil, let call = rest.popFirst() { group.addTask { await self.raise(call) } }
            }
            return first
        }
    }

    private func raise(_ floors: ArraySlice<(key: String, floor: Int64)>) async -> RedisError? {
        do throws(RedisError) {
            _ = try await redis.evaluate(
                RateScript.raise, keys: floors.map(\.key), arguments: floors.map { .integer($0.floor) })
            return nil
        } catch {
            return error
        }
    }
}
