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
    /// Announced at once: one read of their votes, all on their way together, one note that they are announced.
    static let batchMax = 64
    /// Batches under way. One more would make them smaller, not faster.
    static let batchesMax = 2

    private let bus: MessageBus
    private let store: ReviewStore
    private let instruments: HubInstruments
    private let logger: Logger
    /// Says that something waits.
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation
    private let state = Mutex(State())

    private struct State {
        var waiting: [ReviewSession] = []
        /// What is waiting or on its way, so that one decision is not announced by every vote of its last batch.
        var underWay: Set<ReviewID> = []
    }

    init(bus: MessageBus, store: ReviewStore, instruments: HubInstruments, logger: Logger) {
        self.bus = bus
        self.store = store
        self.instruments = instruments
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Announces a decision, soon.
    func announce(_ session: ReviewSession) {
        let isNew = state.withLock { state in
            guard state.waiting.count < Self.waitingMax, state.underWay.insert(session.id).inserted else {
                return false
            }
            state.waiting.append(session)
            return true
        }
        if isNew { signal.yield() }
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
            for await _ in signals {
                while true {
                    if running == Self.batchesMax {
                        await group.next()
                        running -= 1
                    }
                    let batch = take()
                    if batch.isEmpty { break }
                    running += 1
                    group.addTask { await self.publish(batch) }
                }
            }
        }
    }

    private func take() -> [ReviewSession] {
        state.withLock { state in
            let batch = Array(state.waiting.prefix(Self.batchMax))
            state.waiting.removeFirst(batch.count)
            return batch
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
        for session in try await store.unpublished(limit: Self.sweepMax) { announce(session) }
    }

    private func publish(_ batch: [ReviewSession]) async {
        defer { state.withLock { $0.underWay.subtract(batch.map(\.id)) } }
        do {
            let votes = try await store.votes(in: batch.map(\.id))
            let published = await withTaskGroup(of: ReviewID?.self) { group in
                for session in batch {
                    group.addTask { await self.publish(session, votes[session.id] ?? []) }
                }
                return await group.reduce(into: [ReviewID]()) { if let id = $1 { $0.append(id) } }
            }
            let noted = try await store.markPublished(published)
            // Whoever decided it, at the API, over NATS or at the deadline: it counts once, with whoever notes it.
            for session in batch where noted.contains(session.id) { instruments.decided(session) }
        } catch {
            logger.warning(
                "decisions could not be announced; they are announced again",
                metadata: ["count": "\(batch.count)", "error": "\(error)"]
            )
        }
    }

    private func trace(_ session: ReviewSession) {
        guard case .decided(let decision) = session.phase else { return }
        bus.tracer.record(
            "peer review", under: session.traceparent, from: session.openedAt, to: decision.at,
            attributes: [
                ("session_id", "\(session.id)"), ("task_id", "\(session.task)"), ("decision", session.status.rawValue),
            ])
    }

    /// Nil when the bus did not confirm it.
    private func publish(_ session: ReviewSession, _ votes: [ReviewVote]) async -> ReviewID? {
        do {
            guard let decision = ReviewDecision(session, votes: votes) else { return nil }
            _ = try await bus.publish(
                decision, on: .reviewDecision(session.id), id: decision.messageID, traceparent: session.traceparent,
                tenant: session.tenant
            )
            trace(session)
            return session.id
        } catch {
            logger.warning(
                "a decision could not be announced; it is announced again",
                metadata: [
                    "session_id": "\(session.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: session.traceparent))",
                ]
            )
            return nil
        }
    }
}
