internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import Logging
internal import MessageBus
internal import Storage
internal import Synchronization

/// Lets the edge know whose tokens count no more, here at once and on every replica within seconds.
final class RevocationKeeper: Sendable {
    let revocations = TokenRevocations()
    private let store: TokenRevocationStore
    private let bus: MessageBus
    private let logger: Logger
    /// The newest change that was read.
    private let seen = Mutex<Date?>(nil)

    init(store: TokenRevocationStore, bus: MessageBus, logger: Logger) {
        self.store = store
        self.bus = bus
        self.logger = logger
    }

    var service: Refresher { refresher("revoked tokens", read) }

    /// Reads whenever another replica says that tokens count no more, and every two seconds besides.
    func refresher(_ name: String, _ read: @escaping @Sendable () async throws -> Void) -> Refresher {
        Refresher(
            name: name, listen: { [bus] ring in for try await _ in try bus.subscribe(.revocations) { ring() } },
            read: read, logger: logger
        )
    }

    /// Reads what changed.
    @Sendable func read() async throws {
        let changes = try await store.changed(since: seen.withLock { $0 })
        var news: [TokenRevocations.Holder: TokenRevocations.Standing] = [:]
        for change in changes {
            news[.init(tenant: change.tenant, subject: change.subject)] =
                change.validAfter.map { .issuedAfter($0) } ?? .refused
        }
        revocations.adopt(news)
        guard let newest = changes.first?.changedAt else { return }
        seen.withLock { $0 = max($0 ?? newest, newest) }
    }

    /// Somebody was disabled, let in again, or a key was revoked: holds here when this returns.
    func changed() async throws {
        try await read()
        tell()
    }

    /// Lets the other replicas look at once for what counts no more.
    func tell() {
        do { try bus.send(RevocationNotice(), on: .revocations) } catch {
            logger.debug("other replicas were not told of a revocation", metadata: ["error": "\(error)"])
        }
    }
}
