package import Contracts
package import Postgres

/// A task that waits for the sandbox.
package struct TestedTask: Sendable {
    package let task: TaskRecord
    /// Its draft.
    package let artifact: JSON
}

/// An execution and whose it is.
package struct TaskExecution: Sendable, Hashable {
    package let id: ExecutionID
    package let tenant: TenantID

    package init(id: ExecutionID, tenant: TenantID) {
        self.id = id
        self.tenant = tenant
    }
}

/// What the tasks' side knows of the sandbox: which tasks wait for which execution, and what became of it.
package struct TaskExecutionStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Those of the tasks that wait for the sandbox.
    package func waiting(_ ids: [TaskID]) async throws -> [TestedTask] {
        try await pool.execute(TestedTasks(ids: ids))
    }

    /// Tasks whose execution was to be asked for longer ago than `age`, and that the sandbox has not taken on.
    package func unasked(age: Duration, limit: Int) async throws -> [TaskID] {
        try await pool.execute(UnaskedTasks(ageSeconds: Double(age.components.seconds), limit: limit))
    }

    /// Executions that ended longer ago than `age` and whose tasks still wait.
    package func unheard(age: Duration, limit: Int) async throws -> [ExecutionID] {
        try await pool.execute(UnheardExecutions(ageSeconds: Double(age.components.seconds), limit: limit))
    }

    /// Those of the executions that have ended and belong to a task.
    package func ended(_ ids: [ExecutionID]) async throws -> [Execution] {
        try await pool.execute(EndedExecutions(ids: ids))
    }

    /// Executions that go on though their tasks stopped waiting for them.
    ///
    /// - Parameter prefix: of the callers that are stages.
    package func abandoned(prefix: String, limit: Int) async throws -> [TaskExecution] {
        try await pool.execute(AbandonedExecutions(prefix: prefix, limit: limit))
    }
}
