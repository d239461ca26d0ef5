internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Synchronization

/// How many orchestrators run: each says so every two seconds, and who is silent for three times as long is gone.
///
/// Each says besides whether it counts rate limits alone, and at once when that changes. While this replica hears
/// nobody, being without NATS itself, it goes on believing what it heard last.
final class ReplicaCensus: Service {
    static let interval: Duration = .seconds(2)
    static let expiry: Duration = .seconds(6)
    static let aloneWord = "alone"

    private let bus: MessageBus
    private let logger: Logger
    /// This process, for as long as it lives.
    let me = UUID().uuidString
    private struct Peer {
        var heardAt: ContinuousClock.Instant
        var isAlone: Bool
    }

    private struct State {
        var peers: [String: Peer] = [:]
        /// Nobody is taken for gone before then.
        var deafUntil = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let last = Atomic(1)
    private let othersAlone = Atomic(false)
    private let isAlone = Atomic(false)
    private let news: AsyncStream<Void>
    private let newsComes: AsyncStream<Void>.Continuation

    init(bus: MessageBus, logger: Logger) {
        self.bus = bus
        self.logger = logger
        (news, newsComes) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether another replica counts rate limits alone, as far as was heard.
    var isAnyoneElseAlone: Bool { othersAlone.load(ordering: .relaxed) }

    /// Tells the others, now and with every sign of life.
    func say(isAlone: Bool) {
        self.isAlone.store(isAlone, ordering: .relaxed)
        newsComes.yield()
    }

    /// At least 1: oneself.
    func count(at now: ContinuousClock.Instant = .now) -> Int {
        let isDeaf = !bus.isConnected
        let (count, anyAlone) = state.withLock { state in
            if isDeaf { state.deafUntil = now + Self.expiry }
            if now >= state.deafUntil {
                state.peers = state.peers.filter { now - $0.value.heardAt < Self.expiry }
            }
            return (max(1, state.peers.count), state.peers.contains { $0.key != me && $0.value.isAlone })
        }
        last.store(count, ordering: .relaxed)
        othersAlone.store(anyAlone, ordering: .relaxed)
        return count
    }

    /// Whether other replicas were there at the last count: at every sign of life, and every two seconds.
    var hasPeers: Bool { last.load(ordering: .relaxed) > 1 }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { try await self.announce() }
                try await group.waitForAll()
            }
        }
    }

    private func listen() async throws {
        for try await message in try bus.subscribeRaw(.replicas) {
            hear(String(decoding: message.payload, as: UTF8.self), at: .now)
            _ = count()
        }
    }

    func hear(_ sign: String, at now: ContinuousClock.Instant) {
        // Anything else than an id of ours is noise, and noise must not grow the table.
        let words = sign.split(separator: " ")
        guard let first = words.first, let id = UUID(uuidString: String(first)) else { return }
        let peer = Peer(heardAt: now, isAlone: words.dropFirst().first.map { $0 == Self.aloneWord } ?? false)
        state.withLock { $0.peers[id.uuidString] = peer }
    }

    private func announce() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    self.newsComes.yield()
                    try await Task.sleep(for: Self.interval)
                    _ = self.count()
                }
            }
            for await _ in news { sendSign() }
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func sendSign() {
        let text = isAlone.load(ordering: .relaxed) ? "\(me) \(Self.aloneWord)" : me
        do { try bus.sendRaw(.replicas, payload: Array(text.utf8)) } catch {
            logger.debug("the census was not told", metadata: ["error": "\(error)"])
        }
    }
}
