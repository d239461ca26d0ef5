package import Contracts
internal import FoundationEssentials
package import Postgres

/// Which escalations a listing shows.
package struct EscalationFilter: Sendable {
    package let tenant: TenantID
    /// Both when nil.
    package var isResolved: Bool?
    package var task: TaskID?
    /// Only escalations older than this one.
    package var before: EscalationID?
    package var limit: Int

    package init(
        tenant: TenantID, isResolved: Bool? = nil, task: TaskID? = nil, before: EscalationID? = nil, limit: Int
    ) {
        self.tenant = tenant
        self.isResolved = isResolved
        self.task = task
        self.before = before
        self.limit = limit
    }
}

/// The escalations, for people. They begin and end with their tasks' changes, through `TaskStore.change` alone.
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
}
