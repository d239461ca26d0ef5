package import Logging
package import Redis
internal import Synchronization

/// All circuit breakers of one replica, and their common way to the fleet.
///
/// Owns: one breaker for each name, the poll of the shared records, the votes and the results of probes. Hears notices
/// of other replicas through `heard`, and says its own through `onNews`. While Redis is away each breaker decides by
/// its own window.
package final class BreakerRegistry: Sendable {
    /// Numbers and clock of a registry.
    package struct Settings: Sendable {
        package var policy: BreakerPolicy
        /// How often the shared records are looked at when nothing gives reason to.
        package var interval: Duration
        /// For each word with Redis. No call waits for one except to become a probe.
        package var timeout: Duration
        /// Microseconds of a clock that never goes back.
        package var now: @Sendable () -> Int64

        package init(
            policy: BreakerPolicy = BreakerPolicy(), interval: Duration = .seconds(1),
            timeout: Duration = .milliseconds(250), now: (@Sendable () -> Int64)? = nil
        ) {
            self.policy = policy
            self.interval = interval
            self.timeout = timeout
            let start = ContinuousClock.now
            self.now = now ?? { (ContinuousClock.now - start).microsecondsUp }
        }
    }

    /// The most breakers of one replica.
    package static let namesMax = 256
    package static let nameBytesMax = 128
    /// How long a start waits for Redis before the breakers decide alone.
    static let startTimeout: Duration = .seconds(2)

    private enum Fleet { case unknown, there, away }

    let link: BreakerLink
    private let redis: RedisConnection?
    private let settings: Settings
    private let logger: Logger
    let onNews: @Sendable (_ name: String, _ version: Int) -> Void
    private let breakers = Mutex<[String: CircuitBreaker]>([:])
    private let fleet = Mutex(Fleet.unknown)
    private let watchers = Mutex<[Int: AsyncStream<BreakerStatus>.Continuation]>([:])
    private let watchersMade = Atomic<Int>(0)

    /// - Parameters:
    ///   - redis: where the fleet's state is; nil for a replica that always decides alone.
    ///   - replica: this process' id, unlike any other's.
    ///   - replicas: how many processes there are now, this one included. Asked before every word with Redis.
    ///   - onNews: called when this replica made a transition of the shared record, for telling the others.
    package init(
        redis: RedisConnection?, replica: String, replicas: @escaping @Sendable () -> Int, logger: Logger,
        settings: Settings = Settings(),
        onNews: @escaping @Sendable (_ name: String, _ version: Int) -> Void = { _, _ in }
    ) {
        self.redis = redis
        self.settings = settings
        self.logger = logger
        self.onNews = onNews
        link = BreakerLink(
            redis: redis, replica: replica, replicas: replicas, settings: settings
        )
    }

    // MARK: Breakers

    /// The breaker of that name, made at the first call.
    ///
    /// - Throws: `invalidEntry` for a name that is not 1 to 128 of `A-Z a-z 0-9 . _ : / [ ] -`; `full` when there are
    ///   `namesMax` others.
    package func breaker(_ name: String) throws(CoordinationError) -> CircuitBreaker {
        let found = breakers.withLock { $0[name] }
        if let found { return found }
        guard Self.isName(name) else {
            throw CoordinationError(
                .invalidEntry,
                "A breaker's name must be 1 to \(Self.nameBytesMax) of A-Z a-z 0-9 . _ : / [ ] - and start with a "
                    + "letter or digit."
            )
        }
        let made: CircuitBreaker? = breakers.withLock { breakers in
            if let known = breakers[name] { return known }
            guard breakers.count < Self.namesMax else { return nil }
            let breaker = CircuitBreaker(
                name, link: link, onChange: { [weak self] in self?.show($0) },
                onLoss: { [weak self] in self?.lost($0) }, onNews: onNews
            )
            breakers[name] = breaker
            return breaker
        }
        guard let made else {
            throw CoordinationError(
                .full, "This replica guards \(Self.namesMax) dependencies already; \(name) was not added."
            )
        }
        link.urge(name)
        return made
    }

    /// Forgets a breaker that is closed here, so that changing names never use up `namesMax`. False: it is not.
    ///
    /// What it had counted is lost; the fleet's record stays, and is found again with the next call of that name.
    package func retire(_ name: String) -> Bool {
        breakers.withLock { breakers in
            guard breakers[name]?.status.state == .closed else { return false }
            breakers[name] = nil
            return true
        }
    }

    package static func isName(_ name: String) -> Bool {
        guard (1...nameBytesMax).contains(name.utf8.count), let first = name.utf8.first else { return false }
        return isLetterOrDigit(first)
            && name.utf8.allSatisfy { byte in
                isLetterOrDigit(byte) || "._:/[]-".utf8.contains(byte)
            }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    var index: BreakerIndex? { redis.map { BreakerIndex(redis: $0, timeout: settings.timeout) } }

    func find(_ name: String) -> CircuitBreaker? { breakers.withLock { $0[name] } }

    var all: [CircuitBreaker] { breakers.withLock { $0.values.sorted { $0.name < $1.name } } }

    /// How each breaker stands here, by name. Waits for nothing.
    package var statuses: [BreakerStatus] { all.map(\.status) }

    /// Every transition of a breaker on this replica from now on. A reader that falls 64 behind loses the oldest.
    package func changes() -> AsyncStream<BreakerStatus> {
        let (stream, continuation) = AsyncStream<BreakerStatus>.makeStream(bufferingPolicy: .bufferingNewest(64))
        let number = watchersMade.add(1, ordering: .relaxed).newValue
        watchers.withLock { $0[number] = continuation }
        continuation.onTermination = { [weak self] _ in self?.watchers.withLock { _ = $0.removeValue(forKey: number) } }
        return stream
    }

    // MARK: The fleet

    /// Keeps the breakers in step with the fleet until cancelled. To be called once.
    package func run() async throws {
        guard let redis else { return try await passTime() }
        do throws(RedisError) {
            try await redis.waitUntilConnected(within: Self.startTimeout)
        } catch {
            lost(error)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.poll() }
            group.addTask { await self.runErrands() }
            try await group.waitForAll()
        }
    }

    /// Another replica made a transition. What is known already, or of a breaker nobody uses here, is no news.
    package func heard(_ name: String, version: Int) {
        if let breaker = find(name), breaker.version < version { link.urge(name) }
    }

    /// Without a fleet only time has to be looked at: it makes an open breaker half-open, with or without calls.
    private func passTime() async throws {
        while true {
            for breaker in all { breaker.tick() }
            try await Task.sleep(for: settings.interval)
        }
    }

    private func poll() async throws {
        while true {
            do throws(RedisError) {
                for breaker in all { try await breaker.report() }
                try await index?.note(all.map(\.name))
                regained()
            } catch {
                lost(error)
            }
            try await Task.sleep(for: settings.interval)
        }
    }

    private func runErrands() async {
        for await _ in link.wakeUps {
            do throws(RedisError) { try await runErrandsOnce() } catch { lost(error) }
        }
    }

    /// What cannot be told is dropped: results are left to their leases to expire, reports to the next poll.
    func runErrandsOnce() async throws(RedisError) {
        let errands = link.takeErrands()
        for result in errands.results { try await find(result.name)?.tell(result.lease, result.outcome) }
        for name in errands.names.sorted() { try await find(name)?.report() }
    }

    private func lost(_ error: RedisError) {
        if error.code == .cancelled { return }
        let isNew = fleet.withLock { fleet in
            defer { fleet = .away }
            return fleet != .away
        }
        for breaker in all { breaker.loseFleet() }
        guard isNew else { return }
        logger.warning(
            "Circuit breakers decide alone: Redis gives no answer in time, each replica goes by its own window.",
            metadata: ["code": "\(error.code.rawValue)", "reason": "\(error.message)"]
        )
    }

    private func regained() {
        let wasAway = fleet.withLock { fleet in
            defer { fleet = .there }
            return fleet == .away
        }
        if wasAway { logger.notice("Circuit breakers are shared by the fleet again.") }
    }

    /// The words are those that runbooks look for.
    private func show(_ status: BreakerStatus) {
        let metadata: Logger.Metadata = [
            "breaker": "\(status.name)", "by": "\(status.origin.rawValue)", "calls": "\(status.calls)",
            "failures": "\(status.failures)", "slow": "\(status.slow)",
        ]
        switch status.state {
        case .open: logger.warning("circuit breaker is OPEN", metadata: metadata)
        case .halfOpen: logger.notice("circuit breaker is HALF-OPEN", metadata: metadata)
        case .closed: logger.notice("circuit breaker is CLOSED", metadata: metadata)
        }
        for watcher in watchers.withLock({ Array($0.values) }) { watcher.yield(status) }
    }
}
