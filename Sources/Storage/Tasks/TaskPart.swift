package import Contracts
internal import Postgres

/// Tasks that are changed in one transaction.
package struct TaskPart: Sendable {
    package let ids: [TaskID]
    /// Whose they all are; nil where nobody has asked. A tenant's own part waits for no task that is locked.
    package let tenant: TenantID?

    package init(_ ids: [TaskID], of tenant: TenantID? = nil) {
        self.ids = ids
        self.tenant = tenant
    }
}

extension TaskStore {
    /// How tasks are changed: together, but for those of tenants on whose rows somebody sat a moment ago. The last part
    /// has the first turn, so that nobody waits for theirs. Tasks that do not exist may be in none.
    package func parts(of ids: [TaskID]) async throws -> [TaskPart] {
        if ids.isEmpty { return [] }
        if ids.count == 1 || locked.isEmpty { return [TaskPart(ids)] }
        let tasks = try await byTenant(ids)
        let apart = tasks.filter { locked.contains($0.key) }
        if apart.isEmpty { return [TaskPart(ids)] }
        let together = tasks.filter { apart[$0.key] == nil }.flatMap(\.value)
        return apart.map { TaskPart($0.value, of: $0.key) } + (together.isEmpty ? [] : [TaskPart(together)])
    }

    /// What to try instead of a part that failed for the sake of some row: each tenant's tasks, then halves of them.
    ///
    /// Tasks that do not exist are in none. Nothing when it is not worth while: a single task has been waited for, and
    /// what a tenant's own part waited for is no task's row. Mostly it is the tenant's account, which all of its tasks
    /// need; where it is one project's, or one task's reservation or escalation, the others of the part wait with it,
    /// since to find out which they are would cost half a second a try.
    package func split(_ part: TaskPart, after error: any Error) async throws -> [TaskPart] {
        let isLocked = (error as? PostgresError)?.isLockTimeout == true
        var tenant = part.tenant
        if tenant == nil {
            let tasks = try await byTenant(part.ids)
            let foundCount = tasks.values.reduce(0) { $0 + $1.count }
            if tasks.count > 1 || foundCount < part.ids.count || (isLocked && foundCount > 1) {
                return tasks.map { TaskPart($0.value, of: $0.key) }
            }
            tenant = tasks.keys.first
        }
        if isLocked {
            if let tenant { locked.note(tenant) }
            return []
        }
        if part.ids.count == 1 { return [] }
        let middle = part.ids.count / 2
        return [TaskPart(Array(part.ids[..<middle]), of: tenant), TaskPart(Array(part.ids[middle...]), of: tenant)]
    }

    /// Whether a tenant's tasks are changed apart: somebody sat on its rows a moment ago.
    package func isApart(_ tenant: TenantID) -> Bool { locked.contains(tenant) }

    private func byTenant(_ ids: [TaskID]) async throws -> [TenantID: [TaskID]] {
        Dictionary(grouping: try await pool.execute(FindTenants(ids: ids)), by: \.tenant).mapValues { $0.map(\.task) }
    }
}

/// Whose tasks these are. Waits for nobody's lock.
struct FindTenants: PostgresStatement {
    struct Found: Sendable {
        let task: TaskID
        let tenant: TenantID
    }

    let ids: [TaskID]

    static let isReadOnly = true
    static let sql = "SELECT id, tenant_id FROM tasks WHERE id = ANY($1::uuid[])"

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(ids.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Found {
        Found(task: TaskID(try row.uuid(0)), tenant: try row.name(1))
    }
}
