internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// Says what was decided, decides what is due, and says again what nobody has confirmed.
///
/// Decisions are in Postgres before they are announced; whatever is lost between the two is found by the sweep, of this
/// replica or another.
final class DecisionPublisher: Service {
    /// Decisions waiting to be announced; beyond that the sweep finds them.
    static let waitingMax = 4096
    static let sweepInterval: Duration = .milliseconds(500)
    static let sweepMax = 200
    /// Announced at once.
    static let batchMax = 64

    private let bus: MessageBus
    private let store: ReviewStore
    private let instruments: HubInstruments
    private let logger: Logger
    private let inbox: AsyncStream<ReviewSession>
    private let outbox: AsyncStream<ReviewSession>.Continuation
    /// What is waiting or on its way, so that one decision is not announced by every vote of its last batch.
    private let underWay = Mutex<Set<ReviewID>>([])

    init(bus: MessageBus, store: ReviewStore, instruments: HubInstruments, logger: Logger) {
        self.bus = bus
        self.store = store
        self.instruments = instruments
        self.logger = logger
        (inbox, outbox) = AsyncStream.makeStream(
            of: ReviewSession.self, bufferingPolicy: .bufferingOldest(Self.waitingMax))
    }

    /// Announces a decision that this replica has just made.
    func announce(_ session: ReviewSession) {
        guard underWay.withLock({ $0.insert(session.id).inserted }) else { return }
        instruments.decided(session)
        if case .enqueued = outbox.yield(session) { return }
        underWay.withLock { _ = $0.remove(session.id) }
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.publishAll() }
                group.addTask { try await self.sweepRegularly() }
                try await group.next()
                group.cancelAll()
            }
        }
    }

    private func publishAll() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await session in inbox {
                if running == Self.batchMax { await group.next() } else { running += 1 }
                group.addTask { await self.publish(session) }
            }
        }
    }

    private func sweepRegularly() async throws {
        while true {
            do {
                try await sweep()
            } catch {
                try Task.checkCancellation()
                logger.warning("the sweep of reviews failed; it is repeated", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.sweepInterval, tolerance: .milliseconds(50))
        }
    }

    private func sweep() async throws {
        for session in try await store.decideDue(limit: Self.sweepMax) { announce(session) }
        for session in try await store.unpublished(limit: Self.sweepMax) {
            guard underWay.withLock({ $0.insert(session.id).inserted }) else { continue }
            await publish(session)
        }
    }

    private func publish(_ session: ReviewSession) async {
        defer { underWay.withLock { _ = $0.remove(session.id) } }
        do {
            let votes = try await store.votes(in: [session.id])[session.id] ?? []
            guard let decision = ReviewDecision(session, votes: votes) else { return }
            _ = try await bus.publish(
                decision, on: .reviewDecision(session.id), id: decision.messageID, traceparent: session.traceparent,
                tenant: session.tenant
            )
            try await store.markPublished([session.id])
        } catch {
            logger.warning(
                "a decision could not be announced; it is announced again",
                metadata: ["session_id": "\(session.id)", "error": "\(error)"]
            )
        }
    }
}
