internal import Contracts
internal import HTTPEdge
internal import Storage

/// A replay's progress from some version on, until it is over or stopped: one client's reading position.
final class ReplayFeed: Sendable {
    /// Followers at once, each of which reads from Postgres; further ones get 503.
    static let followersMax = 200
    static let interval: Duration = .milliseconds(500)

    private let store: DeadLetterStore
    private let replay: Replay
    /// Never says anything: as long as it is here, this is one of the followers.
    private let place: AsyncStream<Never>

    /// - Throws: 503 when the tenant follows too many.
    init(of replay: Replay, store: DeadLetterStore, followers: Watchers<ReplayID, Never>) throws(Problem) {
        guard let place = followers.watch(replay.id, for: replay.tenant) else {
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
