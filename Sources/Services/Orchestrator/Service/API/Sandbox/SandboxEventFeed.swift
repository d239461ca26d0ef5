internal import Contracts
internal import HTTPEdge
internal import MessageBus
internal import SandboxExecutorCore
internal import Storage
internal import Synchronization

/// A run's events from some number on, without gaps, until its end: one client's reading position.
///
/// While it runs they come from its executor, which repeats them when some are missing; once it has ended, the very
/// same events are made from the stored result.
final class SandboxEventFeed: Sendable {
    /// On one page of those of a run that has ended.
    static let pageMax = 1000

    private let store: SandboxStore
    private let bus: MessageBus
    private let execution: ExecutionID
    private let tenant: TenantID
    private let signals: AsyncStream<SandboxHub.Signal>
    private let mustLook = Mutex(true)

    /// - Throws: 503 when the tenant watches too many runs.
    init(
        store: SandboxStore, hub: SandboxHub, bus: MessageBus, execution: ExecutionID, tenant: TenantID
    ) throws(Problem) {
        guard let signals = hub.watch(execution, for: tenant) else {
            throw Problem(.unavailable, "Too many runs are watched; try again soon.", retryAfterSeconds: 5)
        }
        self.store = store
        self.bus = bus
        self.execution = execution
        self.tenant = tenant
        self.signals = signals
    }

    /// What comes after number `last`, waiting until there is something. The last page ends with the run's exit.
    func next(after last: Int) async throws -> EventPage {
        if mustLook.withLock({ $0 }) {
            if let page = try await stored(after: last) { return page }
            mustLook.withLock { $0 = false }
            try askAgain()
        }
        for await signal in signals {
            switch signal {
            case .event(let event) where event.number <= last: continue
            case .event(let event) where Self.follows(event, last):
                if case .exit = event.kind, let page = try await stored(after: last) { return page }
                return EventPage(events: [Self.event(event)], isLast: false)
            case .event: try askAgain()
            case .ended: if let page = try await stored(after: last) { return page }
            }
        }
        return EventPage(events: [], isLast: true)
    }

    /// The next of its try, or the first of a later one.
    private static func follows(_ event: SandboxEvent, _ last: Int) -> Bool {
        event.number == last + 1 || event.number % SandboxEvent.numbersPerTry == 1
    }

    /// A page of what is left, once it has ended.
    private func stored(after last: Int) async throws -> EventPage? {
        guard let found = try await store.find(execution, tenant: tenant), found.state == .ended else { return nil }
        // What comes after this page is stored as well.
        mustLook.withLock { $0 = true }
        let (events, isLast) = Self.page(of: found, after: last)
        return EventPage(events: events.map(Self.event), isLast: isLast)
    }

    /// Those of a run that has ended, at most `pageMax`; none before.
    static func page(of execution: Execution, after last: Int) -> (events: [SandboxEvent], isLast: Bool) {
        guard let ending = execution.ending, let outcome = ending.outcome else { return ([], true) }
        let events = Transcript.events(
            of: execution.id, attempt: execution.lastTry, outcome: outcome,
            pieces: Pieces(text: ending.pieces ?? "") ?? Pieces(), after: last, countMax: pageMax
        )
        // The exit is the very last.
        if case .output = events.last?.kind { return (events, false) }
        return (events, true)
    }

    private func askAgain() throws { try bus.send(SandboxControl(.replay, execution), on: .sandboxControl) }

    private static func event(_ event: SandboxEvent) -> ServerSentEvent {
        ServerSentEvent(id: event.number, name: event.name, data: event.json.text)
    }
}
