package import Contracts
package import FoundationEssentials
package import Postgres

/// Which tasks a listing shows.
package struct TaskFilter: Sendable {
    package let tenant: TenantID
    package var state: TaskState?
    package var workflow: WorkflowName?
    /// Only tasks older than this one.
    package var before: TaskID?
    package var limit: Int

    package init(
        tenant: TenantID, state: TaskState? = nil, workflow: WorkflowName? = nil, before: TaskID? = nil, limit: Int
    ) {
        self.tenant = tenant
        self.state = state
        self.workflow = workflow
        self.before = before
        self.limit = limit
    }
}

/// The tasks, their histories and their idempotency keys.
package final class TaskStore: Sendable {
    private let pool: PostgresPool
    private let admissions: CoalescingWriter<Admission, AdmissionOutcome>

    package init(pool: PostgresPool) {
        self.pool = pool
        admissions = CoalescingWriter(name: "admit-tasks", pool: pool, maxBatch: 256, maxQueued: 8192) { batch, tx in
            try Self.write(batch, in: tx)
        }
    }

    /// Commits one admission, together with whatever others arrive meanwhile.
    package func admit(_ admission: Admission) async throws -> AdmissionOutcome {
        try await admissions.submit(admission)
    }

    /// Locks the tasks, lets `decide` look at those that exist, and writes what it answers: one transaction.
    ///
    /// `decide` runs on a database thread, must be quick and must not block; it may run again when the transaction has
    /// to be repeated. Answers its result once everything is committed.
    package func change<Result: Sendable>(
        _ ids: [TaskID], decide: @escaping @Sendable ([TaskRecord]) -> (changes: [TaskChange], result: Result)
    ) async throws -> Result {
        try await pool.transaction { tx in
            let decision = decide(try tx.execute(LockTasks(ids: ids)))
            try Self.write(decision.changes, in: tx)
            return decision.result
        }
    }

    /// Takes due tasks for the dispatcher and writes what `decide` makes of them: one transaction, as in `change`.
    package func take<Result: Sendable>(
        _ grants: [(key: DispatchHint.Count, count: Int)], now: Date,
        decide: @escaping @Sendable ([QueuedTask]) -> (changes: [TaskChange], result: Result)
    ) async throws -> Result {
        try await pool.transaction { tx in
            let decision = decide(try tx.execute(TakeQueued(grants: grants, now: now)))
            try Self.write(decision.changes, in: tx)
            return decision.result
        }
    }

    package func find(_ id: TaskID, tenant: TenantID) async throws -> TaskDocument? {
        try await pool.execute(FindTask(id: id, tenant: tenant)).first
    }

    package func list(_ filter: TaskFilter) async throws -> [TaskRecord] {
        try await pool.execute(ListTasks(filter: filter))
    }

    package func events(
        of task: TaskID, tenant: TenantID, after: Int, limit: Int
    ) async throws -> [TaskEvent] {
        try await pool.execute(ListEvents(task: task, tenant: tenant, after: after, limit: limit))
    }

    /// How many tasks go before a queued one, counted to 1,000.
    package func countAhead(of task: TaskRecord, runAt: Date) async throws -> Int {
        try await pool.execute(CountAhead(task: task, runAt: runAt)).first ?? 0
    }

    package func shutdown() async { await admissions.shutdown() }

    private static func write(_ changes: [TaskChange], in tx: borrowing PostgresTransaction) throws {
        guard !changes.isEmpty else { return }
        guard try tx.execute(UpdateTasks(changes: changes)).first == changes.count else {
            throw StoreError(.guardFailed, "A locked task changed under its lock; the batch was rolled back.")
        }
        try append(changes.flatMap(\.events), changes.flatMap(\.outbox), in: tx)
    }

    private static func append(
        _ events: [TaskEvent], _ outbox: [OutboxMessage], in tx: borrowing PostgresTransaction
    ) throws {
        guard !events.isEmpty || !outbox.isEmpty else { return }
        try tx.enqueue(AppendEffects(events: events, outbox: outbox))
    }

    private static func write(
        _ batch: [Admission], in tx: borrowing PostgresTransaction
    ) throws -> [AdmissionOutcome] {
        let admitted = Set(try tx.execute(AdmitTasks(admissions: batch)))
        let fresh = batch.filter { admitted.contains($0.task.id) }
        try append(fresh.flatMap(\.events), fresh.flatMap(\.outbox), in: tx)
        if fresh.count == batch.count { return batch.map { _ in .admitted } }
        return try outcomes(of: batch, admitted: admitted, in: tx)
    }

    private static func outcomes(
        of batch: [Admission], admitted: Set<TaskID>, in tx: borrowing PostgresTransaction
    ) throws -> [AdmissionOutcome] {
        let known = batch.filter { !admitted.contains($0.task.id) }
        let statement = FindIdempotencyKeys(
            route: "POST /tasks", tenants: known.map { $0.task.tenant.text }, principals: known.map(\.task.principal),
            keys: known.map { $0.key?.text ?? "" }
        )
        var found: [[String]: FindIdempotencyKeys.Found] = [:]
        for row in try tx.execute(statement) { found[[row.tenant, row.principal, row.key]] = row }
        return try batch.map { admission in
            if admitted.contains(admission.task.id) { return .admitted }
            let name = [admission.task.tenant.text, admission.task.principal, admission.key?.text ?? ""]
            guard let row = found[name] else {
                throw StoreError(.guardFailed, "An idempotency key vanished while it was read. Nothing was accepted.")
            }
            return row.fingerprint == admission.key?.fingerprint ? .replayed(row.response) : .keyReused
        }
    }
}
