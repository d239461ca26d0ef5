package import Contracts
internal import FoundationEssentials
package import Postgres

/// Which escalations a listing shows.
package struct EscalationFilter: Sendable {
    package let tenant: TenantID
    /// All when nil.
    package var statuses: [Escalation.Status]?
    package var task: TaskID?
    /// Only escalations older than this one.
    package var before: EscalationID?
    package var limit: Int

    package init(
        tenant: TenantID, statuses: [Escalation.Status]? = nil, task: TaskID? = nil, before: EscalationID? = nil,
        limit: Int
    ) {
        self.tenant = tenant
        self.statuses = statuses
        self.task = task
        self.before = before
        self.limit = limit
    }
}

/// The escalations, for people and for who carries decisions out. They begin and end with their tasks' changes, through
/// `TaskStore.change` alone.
package final class EscalationStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    package func find(_ id: EscalationID, tenant: TenantID) async throws -> Escalation? {
        try await pool.execute(ListEscalations(filter: EscalationFilter(tenant: tenant, limit: 1), id: id)).first
    }

    package func list(_ filter: EscalationFilter) async throws -> [Escalation] {
        try await pool.execute(ListEscalations(filter: filter, id: nil))
    }

    /// What the supervisor decided about one that is still unresolved; nil when it decided nothing.
    package func decision(on id: EscalationID, task: TaskID, tenant: TenantID) async throws -> Resolution? {
        try await pool.execute(FindDecision(id: id, task: task, tenant: tenant)).first
    }

    /// The tokens that its analyst reported to have used; they are its task's once it is resolved.
    package func analysisTokens(of id: EscalationID) async throws -> Int {
        try await pool.execute(FindAnalysisTokens(id: id)).first ?? 0
    }

    /// Leaves one to humans whose task could not take what was decided; nil when there was nothing to leave any more.
    package func handBack(_ id: EscalationID) async throws -> WaitingEscalation? {
        try await pool.execute(HandBackDecision(id: id)).first
    }
}
