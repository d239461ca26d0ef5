package import Contracts
package import FoundationEssentials
package import Postgres

/// One version of a tenant's own workflow.
package struct StoredWorkflow: Sendable, Equatable {
    package let tenant: TenantID
    package let workflow: Workflow
    package let createdBy: String
    package let createdAt: Date
}

package enum WorkflowOutcome: Sendable, Equatable {
    case stored(StoredWorkflow)
    /// It says what the newest version says: nothing new was stored.
    case unchanged(StoredWorkflow)
    /// The newest version is another than expected; 0 when there is none.
    case otherVersion(Int)
    /// The tenant has as many versions as it may: nothing was stored.
    case full
}

/// The tenants' own workflows. Versions are never changed, so what was read once may be kept.
package final class WorkflowStore: Sendable {
    /// Versions of all its workflows together that one tenant may store.
    package static let versionsMax = 1000
    /// How often a version is asked for anew that somebody else took meanwhile.
    static let attemptsMax = 5

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Stores the next version of a workflow.
    ///
    /// - Parameter expected: the newest version it is to follow, 0 for none; any when nil.
    package func put(
        _ name: WorkflowName, _ definition: JSON, tenant: TenantID, by principal: String, expected: Int?
    ) async throws -> WorkflowOutcome {
        for _ in 0..<Self.attemptsMax {
            let newest = try await newest(name, tenant: tenant)
            let version = newest?.workflow.version ?? 0
            if let expected, expected != version { return .otherVersion(version) }
            if let newest, newest.workflow.definition == definition { return .unchanged(newest) }
            let insert = InsertWorkflow(
                tenant: tenant, name: name, version: version + 1, definition: definition, principal: principal,
                versionsMax: Self.versionsMax
            )
            if let stored = try await pool.execute(insert).first { return .stored(stored) }
            if try await self.newest(name, tenant: tenant)?.workflow.version ?? 0 == version { return .full }
        }
        throw StoreError(.guardFailed, "Others kept storing versions of this workflow. Nothing was stored; try again.")
    }

    package func newest(_ name: WorkflowName, tenant: TenantID) async throws -> StoredWorkflow? {
        try await find(name, version: nil, tenant: tenant)
    }

    /// The newest version when `version` is nil.
    package func find(_ name: WorkflowName, version: Int?, tenant: TenantID) async throws -> StoredWorkflow? {
        try await pool.execute(FindWorkflow(tenant: tenant, name: name, version: version)).first
    }

    /// The newest version of each, by name.
    package func list(tenant: TenantID, after: WorkflowName?, limit: Int) async throws -> [StoredWorkflow] {
        try await pool.execute(ListWorkflows(tenant: tenant, after: after, limit: limit))
    }

    /// The versions that these tasks go through.
    package func used(by tasks: [TaskID]) async throws -> [StoredWorkflow] {
        try await pool.execute(WorkflowsOfTasks(tasks: tasks))
    }
}
