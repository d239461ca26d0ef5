internal import Contracts
internal import HTTPEdge
internal import Storage
internal import Synchronization

/// A task's history from some event on, without gaps, until its last event: one client's reading position.
///
/// Postgres is what it reads; the hub's signals tell when to look, and save the look when they continue the history.
final class TaskEventFeed: Sendable {
    static let pageMax = 200

    private let store: TaskStore
    private let task: TaskID
    private let tenant: TenantID
    private let signals: AsyncStream<EventHub.Signal>
    /// Set while Postgres may hold events that no signal will bring.
    private let mustRead = Mutex(true)

    /// - Throws: 503 when too many streams are open.
    init(store: TaskStore, hub: EventHub, task: TaskID, tenant: TenantID) throws(Problem) {
        guard let signals = hub.watch(task, for: tenant) else {
            throw Problem(.unavailable, "Too many event streams are open; try again soon.", retryAfterSeconds: 5)
        }
        self.store = store
        self.task = task
        self.tenant = tenant
        self.signals = signals
    }

    /// The events after number `last`, waiting until there is one. Empty only when the wait was cancelled.
    func next(after last: Int) async throws -> [TaskEvent] {
        if mustRead.withLock({ $0 }) {
            let page = try await read(after: last)
            if !page.isEmpty { return page }
        }
        for await signal in signals {
            switch signal {
            case .event(let event) where event.sequence <= last: continue
            case .event(let event) where event.sequence == last + 1: return [event]
            case .event, .reread:
                let page = try await read(after: last)
                if !page.isEmpty { return page }
            }
        }
        return []
    }

    private func read(after last: Int) async throws -> [TaskEvent] {
        let page = try await store.events(of: task, tenant: tenant, after: last, limit: Self.pageMax)
        mustRead.withLock { $0 = page.count == Self.pageMax }
        return page
    }
}
