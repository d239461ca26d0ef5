internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Synchronization

/// How many orchestrators run: each says so every two seconds, and who is silent for three times as long is gone.
final class ReplicaCensus: Service {
    static let interval: Duration = .seconds(2)
    static let expirySeconds: TimeInterval = 6

    private let bus: MessageBus
    private let logger: Logger
    /// This process, for as long as it lives.
    let me = UUID().uuidString
    private let heard = Mutex<[String: Date]>([:])
    private let last = Atomic(1)

    init(bus: MessageBus, logger: Logger) {
        self.bus = bus
        self.logger = logger
    }

    /// At least 1: oneself.
    func count(at now: Date = Date()) -> Int {
        let count = heard.withLock { heard in
            heard = heard.filter { now.timeIntervalSince($0.value) < Self.expirySeconds }
            return max(1, heard.count)
        }
        last.store(count, ordering: .relaxed)
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
            // Anything else than an id of ours is noise, and noise must not grow the table.
            guard let id = UUID(uuidString: String(decoding: message.payload, as: UTF8.self)) else { continue }
            heard.withLock { $0[id.uuidString] = Date() }
            _ = count()
        }
    }

    private func announce() async throws {
        while true {
            do { try bus.sendRaw(.replicas, payload: Array(me.utf8)) } catch {
                logger.debug("the census was not told", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
            _ = count()
        }
    }
}
