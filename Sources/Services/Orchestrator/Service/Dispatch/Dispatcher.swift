internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage
internal import Synchronization

/// Hands queued tasks to agents: every replica tells it what arrived and what came free, the leading one decides.
final class Dispatcher: Sendable {
    /// How often the book is made anew from Postgres.
    static let resyncInterval: Duration = .seconds(1)
    /// How long a missed nudge can go unnoticed.
    static let idlePoll: Duration = .milliseconds(250)
    /// A task that is queued right after others were handed out waits for company, at most that long.
    static let pace = Pace(interval: .milliseconds(5))

    private struct State {
        var book: DispatchBook
        /// Wakes the loop of this term of leading; nil while another replica leads.
        var nudge: AsyncStream<Void>.Continuation?

        var isLeading: Bool { nudge != nil }
    }

    private let state: Mutex<State>
    private let tasks: TaskStore
    private let counts: ReconciliationStore
    private let decider: Decider
    private let publisher: EffectPublisher
    private let reviews: ReviewRequester
    private let hub: EventHub
    private let bus: MessageBus
    private let agents: AgentDirectory
    private let instruments: Instruments
    private let tokens: TokenSettler
    private let recent: RecentTasks
    private let logger: Logger

    init(
        limits: DispatchBook.Limits, tasks: TaskStore, counts: ReconciliationStore, decider: Decider,
        publisher: EffectPublisher, reviews: ReviewRequester, hub: EventHub, bus: MessageBus, agents: AgentDirectory,
        instruments: Instruments, tokens: TokenSettler, recent: RecentTasks, logger: Logger
    ) {
        self.tasks = tasks
        self.counts = counts
        self.decider = decider
        self.publisher = publisher
        self.reviews = reviews
        self.hub = hub
        self.bus = bus
        self.agents = agents
        self.instruments = instruments
        self.tokens = tokens
        self.recent = recent
        self.logger = logger
        state = Mutex(State(book: DispatchBook(limits: limits)))
    }

    /// True when a new task may be handed out in the transaction that accepts it. Only the leading replica may say so.
    func startsAtOnce(_ key: DispatchHint.Count) -> Bool {
        state.withLock { $0.isLeading && $0.book.admit(key) }
    }

    /// A task that was to start at once was not accepted after all.
    func withdraw(_ key: DispatchHint.Count) { state.withLock { $0.book.freed(key, 1) } }

    /// Carries out what is left of a committed decision, and lets the dispatcher know.
    ///
    /// - Parameter counted: the queued tasks are in the book already (a new task that `startsAtOnce` refused).
    func carryOut(_ outcome: Outcome, counted: Bool = false) {
        // Before anything is published that agents could answer.
        recent.note(outcome.changes)
        publisher.publish(outcome.outbox)
        hub.announce(outcome.events)
        publisher.stop(outcome.notices)
        reviews.request(outcome.reviews)
        tokens.settle(outcome.changes)
        guard !outcome.queued.isEmpty || !outcome.freed.isEmpty else { return }
        let hint = DispatchHint(queued: counted ? [:] : outcome.queued, freed: outcome.freed)
        if !note(hint) {
            let whole = DispatchHint(queued: outcome.queued, freed: outcome.freed)
            do { try bus.send(whole, on: .dispatch) } catch {
                logger.debug("the dispatcher was not told", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Enters a hint into the book; false when this replica does not lead.
    @discardableResult
    func note(_ hint: DispatchHint) -> Bool {
        let nudge = state.withLock { state in
            guard state.isLeading else { return nil as AsyncStream<Void>.Continuation? }
            for (key, count) in hint.freed { state.book.freed(key, count) }
            for (key, count) in hint.queued { state.book.queued(key, count) }
            return state.nudge
        }
        nudge?.yield()
        return nudge != nil
    }

    var isLeading: Bool { state.withLock { $0.isLeading } }

    /// Follows the hints of other replicas until cancelled.
    func listen() async throws {
        for try await hint in try bus.subscribe(.dispatch) { note(hint) }
    }

    /// Dispatches until cancelled, as the leader.
    func lead() async throws {
        // Nudges that come while the loop is busy are remembered as one.
        let (nudges, nudge) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        defer { state.withLock { $0.nudge = nil } }
        try await resync()
        state.withLock { $0.nudge = nudge }
        nudge.yield()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.resyncContinuously() }
            group.addTask { try await self.tick() }
            group.addTask { try await self.dispatch(at: nudges) }
            try await group.waitForAll()
        }
    }

    private func resyncContinuously() async throws {
        while true {
            try await Task.sleep(for: Self.resyncInterval)
            do {
                try await resync()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("the dispatcher could not count the queue", metadata: ["error": "\(error)"])
            }
        }
    }

    private func resync() async throws {
        try await decider.prompts.refresh()
        let snapshot = DispatchBook.Snapshot(
            inFlight: try await counts.inFlight(), queued: try await counts.queued(),
            queuedMax: ReconciliationStore.queuedCountMax
        )
        instruments.show(
            active: snapshot.inFlight.values.reduce(0, +), queued: snapshot.queued.values.reduce(0, +)
        )
        let slots = agents.slots()
        state.withLock { state in
            state.book.resync(snapshot)
            state.book.announce(slots: slots)
        }
    }

    /// Dispatches at every nudge. The ticks make up for nudges that were lost with their sender.
    private func dispatch(at nudges: AsyncStream<Void>) async throws {
        for await _ in nudges {
            do {
                var start = ContinuousClock.now
                while try await dispatch() {
                    await Self.pace.rest(since: start)
                    start = .now
                }
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a round of dispatching failed", metadata: ["error": "\(error)"])
            }
        }
    }

    private func tick() async throws {
        while true {
            try await Task.sleep(for: Self.idlePoll)
            state.withLock { $0.nudge }?.yield()
        }
    }

    /// One round; false when nothing could be handed out.
    private func dispatch() async throws -> Bool {
        let grants = state.withLock { $0.book.plan() }
        if grants.isEmpty { return false }
        let outcome: Outcome
        do {
            outcome = try await take(grants)
        } catch {
            state.withLock { state in for grant in grants { state.book.freed(grant.key, grant.count) } }
            throw error
        }
        settle(grants, outcome)
        carryOut(outcome)
        try await meetUnread(outcome)
        return !outcome.changes.isEmpty
    }

    /// Tasks whose workflows this replica had not met are queued again, now that it has.
    private func meetUnread(_ outcome: Outcome) async throws {
        guard !outcome.unread.isEmpty else { return }
        try await decider.workflows.meet(outcome.unread.map(\.id))
        var queued: [DispatchHint.Count: Int] = [:]
        for task in outcome.unread where decider.workflows.find(task) != nil {
            queued[DispatchHint.Count(role: task.role, tenant: task.tenant), default: 0] += 1
        }
        note(DispatchHint(queued: queued, freed: [:]))
    }

    private func take(_ grants: [DispatchBook.Grant]) async throws -> Outcome {
        let now = Date()
        return try await tasks.take(grants.map { ($0.key, $0.count) }, now: now) { [decider] queued in
            var outcome = Outcome()
            for queued in queued { decider.dispatch(queued, now: now, into: &outcome) }
            return (outcome.changes, outcome)
        }
    }

    private func settle(_ grants: [DispatchBook.Grant], _ outcome: Outcome) {
        var taken: [DispatchHint.Count: Int] = [:]
        for change in outcome.changes {
            taken[DispatchHint.Count(role: change.task.role, tenant: change.task.tenant), default: 0] += 1
        }
        state.withLock { state in
            for grant in grants { state.book.settle(grant, taken: taken[grant.key] ?? 0) }
        }
    }
}
