internal import Contracts
internal import Storage
internal import Synchronization

/// The active prompt of each reviewing role, as it was in Postgres at most a second ago.
final class ReviewerPrompts: Sendable {
    static let freshness: Duration = .seconds(1)

    private let store: GovernanceStore
    private let state = Mutex<(active: [AgentRole: RolePrompt], readAt: ContinuousClock.Instant?)>(([:], nil))

    init(store: GovernanceStore) {
        self.store = store
    }

    /// Texts that are known already are not read again.
    func current() async throws -> [AgentRole: RolePrompt] {
        let now = ContinuousClock.now
        let (known, readAt) = state.withLock { ($0.active, $0.readAt) }
        if let readAt, now - readAt < Self.freshness { return known }
        let active = try await store.activePrompts(known: known)
        state.withLock { $0 = (active, now) }
        return active
    }
}
