internal import Contracts
internal import HTTPEdge
internal import Storage
internal import Synchronization

/// A replay's progress from some version on, until it is over or stopped: one client's reading position.
final class ReplayFeed: Sendable {
    /// Followers at once, each of which reads from Postgres; further ones get 503.
    static let followersMax = 200
    static let interval: Duration = .milliseconds(500)

    private let store: DeadLetterStore
    private let replay: Replay
    private let place: ReplayFollowers.Place

    /// - Throws: 503 when the tenant follows too many.
    init(of replay: Replay, store: DeadLetterStore, followers: ReplayFollowers) throws(Problem) {
        guard let place = followers.place(for: replay.tenant) else {
            throw Problem(.unavailable, "Too many replays are followed; try again soon.", retryAfterSeconds: 5)
        }
        self.store = store
        self.replay = replay
        self.place = place
    }

    /// How it stands once that is newer than version `last`. The last page when it is not running.
    func next(after last: Int) async throws -> EventPage {
        while true {
            guard let now = try await store.replay(replay.id, tenant: replay.tenant) else {
                return EventPage(events: [], isLast: true)
            }
            let isRunning = now.state == .running
            if now.version > last {
                let event = ServerSentEvent(
                    id: now.version, name: isRunning ? "progress" : now.state.rawValue,
                    data: DeadLetterView.replay(now).text)
                return EventPage(events: [event], isLast: !isRunning)
            }
            if !isRunning { return EventPage(events: [], isLast: true) }
            try await Task.sleep(for: Self.interval)
        }
    }
}

/// Who follows replays on this replica: bounded, and shared between tenants by the rule of `FairShare`.
final class ReplayFollowers: Sendable {
    /// Free again once nobody holds it any more, however that came about.
    final class Place: Sendable {
        private let followers: ReplayFollowers
        private let tenant: TenantID

        fileprivate init(_ followers: ReplayFollowers, _ tenant: TenantID) {
            self.followers = followers
            self.tenant = tenant
        }

        deinit { followers.leave(tenant) }
    }

    private let places: Mutex<FairShare<TenantID>>

    init(max: Int) {
        places = Mutex(FairShare(of: max))
    }

    /// Nil when the tenant has as many places as are free.
    func place(for tenant: TenantID) -> Place? {
        let isTaken = places.withLock { $0.take(for: tenant) }
        return isTaken ? Place(self, tenant) : nil
    }

    private func leave(_ tenant: TenantID) {
        places.withLock { $0.giveBack(of: tenant) }
    }
}
