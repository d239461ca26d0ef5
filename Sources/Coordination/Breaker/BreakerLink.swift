internal import Redis
internal import Synchronization

/// A breaker's way to the fleet: asks Redis, and knows whether Redis is there.
final class BreakerLink: Sendable {
    /// What waits to be told: which breakers have news, and how probes ended.
    struct Errands: Sendable {
        var names: Set<String> = []
        var results: [(name: String, lease: String, outcome: BreakerOutcome)] = []
    }

    /// Results of probes that wait to be told; there are never more than leases that have not expired.
    static let resultsMax = 4096
    static let replicasMax = 100_000

    let replica: String
    private let replicas: @Sendable () -> Int
    private let replicasSeen = Atomic<Int>(1)
    let policy: BreakerPolicy
    /// Microseconds of a clock that never goes back.
    let now: @Sendable () -> Int64
    /// Wakes whoever runs the errands.
    let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    /// Nil: there is no fleet.
    private let redis: RedisConnection?
    private let timeout: Duration
    private let terms: BreakerTerms
    private let errands = Mutex(Errands())
    private let leases = Atomic<Int>(0)

    init(
        redis: RedisConnection?, replica: String, replicas: @escaping @Sendable () -> Int,
        settings: BreakerRegistry.Settings
    ) {
        self.redis = redis
        self.replica = replica
        self.replicas = replicas
        policy = settings.policy
        now = settings.now
        timeout = settings.timeout
        terms = BreakerTerms(settings.policy, unit: 1000)
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// One step of the shared record.
    func send(
        _ event: FleetRecord.Event, to name: String
    ) async throws(RedisError) -> BreakerScript.Reply {
        guard let redis else { throw RedisError(.disconnected, "No Redis is configured.") }
        let live = max(1, min(replicas(), Self.replicasMax))
        replicasSeen.store(live, ordering: .relaxed)
        let askedAt = now()
        var cycle = terms
        cycle.jitter = BreakerTerms.jitter(seed: askedAt, percent: policy.jitterPercent)
        let terms = FleetRecord.Terms(cycle: cycle, replicas: Int64(live))
        let reply = try await redis.evaluate(
            BreakerScript.script, keys: [RedisKey.tagged("golden:breaker", tag: name)],
            arguments: BreakerScript.arguments(event, terms: terms), timeout: timeout
        )
        guard var reply = BreakerScript.reply(reply) else {
            throw RedisError(.protocolViolation, "The breaker script's answer has an unknown shape.")
        }
        reply.askedAt = askedAt
        // Those who report are there, whatever this replica was told of its fleet.
        replicasSeen.store(max(live, reply.record.reports.count), ordering: .relaxed)
        return reply
    }

    /// Among how many replicas to divide probes; as of the last word with Redis, or the last attempt.
    var share: Int { replicasSeen.load(ordering: .relaxed) }

    /// A name for a probe that nobody ever had.
    func newLease() -> String { "\(replica)/\(leases.add(1, ordering: .relaxed).newValue)" }

    /// Has this breaker's report sent at once.
    func urge(_ name: String) {
        errands.withLock { _ = $0.names.insert(name) }
        wake.yield()
    }

    /// Has a probe's end told. Beyond the bound it is left to its lease to expire.
    func tell(_ name: String, lease: String, _ outcome: BreakerOutcome) {
        errands.withLock { errands in
            if errands.results.count < Self.resultsMax { errands.results.append((name, lease, outcome)) }
        }
        wake.yield()
    }

    func takeErrands() -> Errands {
        errands.withLock { errands in
            let taken = errands
            errands = Errands()
            return taken
        }
    }
}
