internal import Contracts
internal import Storage
internal import Synchronization

/// The active prompt of each role, as it was in Postgres a moment ago.
///
/// The leading dispatcher reads it before it hands out its first task and once a second after that; handing out a task
/// asks nobody.
final class PromptBook: Sendable {
    private let store: GovernanceStore
    private let active = Mutex<[AgentRole: RolePrompt]>([:])

    init(store: GovernanceStore) {
        self.store = store
    }

    subscript(role: AgentRole) -> RolePrompt? { active.withLock { $0[role] } }

    /// Texts that are known already are not read again.
    func refresh() async throws {
        let known = active.withLock { $0 }
        let now = try await store.activePrompts(known: known)
        active.withLock { $0 = now }
    }

    /// The prompts that running attempts were handed, which need no longer be the active ones.
    func handed(to tasks: [TaskRecord]) async throws -> [PromptVersion: RolePrompt] {
        try await store.prompts(Set(tasks.compactMap { PromptVersion(of: $0) }))
    }
}
