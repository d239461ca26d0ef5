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
    /// Tasks that are let go at once when a limit on a label is gone.
    static let releasedMax = 10_000

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
    private let executions: ExecutionRequester
    private let hub: EventHub
    private let bus: MessageBus
    private let agents: AgentDirectory
    private let instruments: Instruments
    private let tokens: TokenSettler
    private let recent: RecentTasks
    private let labelLimits: @Sendable () -> LabelLimits
    private let logger: Logger

    /// - Parameter labelLimits: those in force, asked for at every decision.
    init(
        limits: DispatchBook.Limits, tasks: TaskStore, counts: ReconciliationStore, decider: Decider,
        publisher: EffectPublisher, reviews: ReviewRequester, executions: ExecutionRequester, hub: EventHub,
        bus: MessageBus, agents: AgentDirectory, instruments: Instruments, tokens: TokenSettler, recent: RecentTasks,
        labelLimits: @escaping @Sendable () -> LabelLimits, logger: Logger
    ) {
        self.tasks = tasks
        self.counts = counts
        self.decider = decider
        self.publisher = publisher
        self.reviews = reviews
        self.executions = executions
        self.hub = hub
        self.bus = bus
        self.agents = agents
        self.instruments = instruments
        self.tokens = tokens
        self.recent = recent
        self.labelLimits = labelLimits
        self.logger = logger
        state = Mutex(State(book: DispatchBook(limits: limits)))
    }

    /// True when a new task may be handed out in the transaction that accepts it. Only the leading replica may say so.
    ///
    /// A task with a label that is limited waits for a transaction that counts what is at work; all wait while the bus
    /// is away.
    func startsAtOnce(_ key: DispatchHint.Count, labels: [String: String]) -> Bool {
        let isLimited = !labels.isEmpty && !labelLimits().limited(labels, of: key.tenant).isEmpty
        let mayStart = !isLimited && bus.isConnected
        return state.withLock { state in
            guard state.isLeading else { return false }
            if mayStart { return state.book.admit(key) }
            state.book.queued(key, 1)
            return false
        }
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
        executions.carryOut(asked: outcome.executions, stopped: outcome.stoppedExecutions)
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
        let held = try await stillHeld()
        let snapshot = DispatchBook.Snapshot(
            inFlight: try await counts.inFlight(), queued: try await counts.queued(),
            queuedMax: ReconciliationStore.queuedCountMax, held: held
        )
        instruments.show(
            active: snapshot.inFlight.values.reduce(0, +),
            queued: snapshot.queued.values.reduce(0, +) + held.values.reduce(0, +)
        )
        let slots = agents.slots()
        let counted = snapshot.bounded(announced: slots)
        state.withLock { state in
            state.book.announce(slots: slots)
            state.book.resync(counted)
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
        // An attempt's time runs from when it is handed out, and nobody can be sent anything now.
        guard bus.isConnected else { return false }
        let grants = state.withLock { $0.book.plan() }
        let limits = labelLimits()
        let limited = grants.filter { !limits.limits(of: $0.key.tenant).isEmpty }
        let open = grants.filter { limits.limits(of: $0.key.tenant).isEmpty }
        // Apart, so that nobody waits for those who count labels.
        let first: Bool
        do {
            first = try await handOut(open, within: .none)
        } catch {
            withdraw(limited)
            throw error
        }
        let second = try await handOut(limited, within: limits)
        return first || second
    }

    private func handOut(_ grants: [DispatchBook.Grant], within limits: LabelLimits) async throws -> Bool {
        if grants.isEmpty { return false }
        let taken: Taking<Outcome>
        do {
            taken = try await take(grants, within: limits)
        } catch {
            withdraw(grants)
            throw error
        }
        settle(grants, taken)
        carryOut(taken.result)
        try await meetUnread(taken.result)
        return !taken.result.changes.isEmpty || !taken.unfinished.isEmpty
    }

    private func withdraw(_ grants: [DispatchBook.Grant]) {
        state.withLock { state in for grant in grants { state.book.freed(grant.key, grant.count) } }
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

    private func take(
        _ grants: [DispatchBook.Grant], within limits: LabelLimits
    ) async throws -> Taking<Outcome> {
        let now = decider.clock.now
        let prompts = Set(grants.map(\.key.role)).map { decider.prompts[$0]?.content.utf8.count ?? 0 }
        return try await tasks.take(
            grants.map { ($0.key, $0.count) }, within: limits, promptBytes: prompts.max() ?? 0, now: now
        ) { [decider] queued in
            var outcome = Outcome()
            for queued in queued { decider.dispatch(queued, now: now, into: &outcome) }
            return (outcome.changes, outcome)
        }
    }

    private func settle(_ grants: [DispatchBook.Grant], _ taking: Taking<Outcome>) {
        var taken: [DispatchHint.Count: Int] = [:]
        for change in taking.result.changes {
            taken[DispatchHint.Count(role: change.task.role, tenant: change.task.tenant), default: 0] += 1
        }
        state.withLock { state in
            state.book.holdBack(taking.held)
            for grant in grants {
                state.book.settle(
                    grant, taken: taken[grant.key] ?? 0, isWhole: !taking.unfinished.contains(grant.key))
            }
        }
    }

    /// What limits on labels hold back, after what no limit holds back any more was let go.
    private func stillHeld() async throws -> [DispatchHint.Count: Int] {
        let held = try await counts.held()
        if held.isEmpty { return held }
        let released = try await counts.releaseUnlimited(labelLimits(), limit: Self.releasedMax)
        return released > 0 ? try await counts.held() : held
    }
}
