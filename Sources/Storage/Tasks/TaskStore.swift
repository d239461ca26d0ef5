package import Contracts
package import FoundationEssentials
package import Postgres

/// Which tasks a listing shows.
package struct TaskFilter: Sendable {
    package let tenant: TenantID
    package var state: TaskState?
    package var workflow: WorkflowName?
    /// Only parts of this task.
    package var parent: TaskID?
    /// Only tasks older than this one.
    package var before: TaskID?
    package var limit: Int

    package init(
        tenant: TenantID, state: TaskState? = nil, workflow: WorkflowName? = nil, parent: TaskID? = nil,
        before: TaskID? = nil, limit: Int
    ) {
        self.tenant = tenant
        self.state = state
        self.workflow = workflow
        self.parent = parent
        self.before = before
        self.limit = limit
    }
}

/// What was made of queued tasks that were taken.
package struct Taking<Result: Sendable>: Sendable {
    package let result: Result
    /// Where tasks were held back, to be asked for again when others end.
    package let held: Set<DispatchHint.Count>
    /// Where there may be more to take at once: behind what was looked at, or beyond what may be in memory together.
    package let unfinished: Set<DispatchHint.Count>

    package init(result: Result, held: Set<DispatchHint.Count> = [], unfinished: Set<DispatchHint.Count> = []) {
        self.result = result
        self.held = held
        self.unfinished = unfinished
    }
}

/// The tasks, their histories and their idempotency keys.
package final class TaskStore: Sendable {
    /// Batches of admissions at a time: the next is inserted while one is audited and committed.
    private static let batchesInFlight = 2
    /// What a batch costs before its first task is as much as a dozen tasks cost.
    private static let besideMin = 16

    /// What is wrong with a task that was passed over: as the server says it of a lock that was waited for in vain.
    package static let rowIsLocked = PostgresError(
        .timeout, "Somebody holds the task's row locked. Nothing of it was changed.", sqlState: "55P03")

    let pool: PostgresPool
    let locked: LockedTenants
    private let admissions: TenantWriter<Admission, BudgetedAdmissions.Verdict>

    package init(pool: PostgresPool) {
        self.pool = pool
        let locked = LockedTenants()
        self.locked = locked
        admissions = TenantWriter(
            name: "admit-tasks", pool: pool, maxInFlight: Self.batchesInFlight, minBeside: Self.besideMin,
            locked: locked, tenant: { $0.task.tenant }
        ) { batch, tx in
            // Locking the ends of the tenants' chains comes last, since others wait for them.
            if BudgetedAdmissions.isNeeded(for: batch) {
                var budgeted = BudgetedAdmissions(batch)
                let verdicts = try budgeted.run(in: tx)
                try AuditStore.finish(Self.audited(batch, verdicts), in: tx)
                return verdicts
            }
            let lock = AuditStore.lock(for: batch.compactMap(\.audit))
            let (ids, heads) = try tx.execute(AdmitTasks(admissions: batch), lock)
            let admitted = Set(ids)
            let verdicts = batch.map { admitted.contains($0.task.id) ? Verdict.admitted : .notInserted }
            try AuditStore.finish(Self.audited(batch, verdicts), heads, in: tx)
            return verdicts
        }
    }

    private typealias Verdict = BudgetedAdmissions.Verdict

    private static func audited(_ batch: [Admission], _ verdicts: [Verdict]) -> [AuditEntry] {
        zip(batch, verdicts).compactMap { $1.isAdmitted ? $0.audit : nil }
    }

    /// Commits one admission, together with whatever others arrive meanwhile.
    package func admit(_ admission: Admission) async throws -> AdmissionOutcome {
        let verdict = try await admissions.submit(admission, of: admission.task.tenant)
        if verdict.isAdmitted { return .admitted }
        // Asked before a refusal is believed, too: the room may have gone to the same request at another replica.
        let task = admission.task
        if let key = admission.key {
            let statement = FindIdempotencyKey(
                route: "POST /tasks", tenant: task.tenant, principal: admission.keyOwner, key: key.text)
            if let found = try await pool.execute(statement).first {
                return found.fingerprint == key.fingerprint ? .replayed(found.response) : .keyReused
            }
        }
        switch verdict {
        case .denied(let reservation, let denial): return .denied(reservation, denial)
        case .orphaned(let reason): return .orphaned(reason)
        case .notInserted where admission.hold == nil: return .needsHold
        case .admitted, .notInserted:
            throw StoreError(.guardFailed, "An idempotency key vanished while it was read. Nothing was accepted.")
        }
    }

    /// Locks a part's tasks, lets `decide` look at those that exist, and writes what it answers: one transaction.
    ///
    /// What others hold locked is waited for, for half a second at most. Where the part is one tenant's, tasks that are
    /// locked are passed over instead: they stay as they were, and are answered as `locked`.
    ///
    /// `decide` runs on a database thread, must be quick and must not block; it may run again when the transaction has
    /// to be repeated. Answers its result once everything is committed.
    package func change<Result: Sendable>(
        _ part: TaskPart, decide: @escaping @Sendable ([TaskRecord]) -> (changes: [TaskChange], result: Result)
    ) async throws -> (result: Result, locked: [TaskID]) {
        let (result, found) = try await pool.transaction { tx in
            try tx.enqueue(LimitLockWaits())
            let tasks =
                try part.tenant == nil
                ? tx.execute(LockTasks(ids: part.ids)) : tx.execute(LockFreeTasks(ids: part.ids))
            let decision = decide(tasks)
            try Self.finish(decision.changes, in: tx)
            return (decision.result, Set(tasks.map(\.id)))
        }
        guard let tenant = part.tenant, found.count < part.ids.count else { return (result, []) }
        // Once: a part that is apart waits for nobody, so that in it even what is locked for a moment counts as locked.
        if !locked.contains(tenant) { locked.note(tenant) }
        return (result, part.ids.filter { !found.contains($0) })
    }

    /// Writes what was decided on rows that were not read for it: one round trip. False, and nothing is written, when
    /// any of them is not what it was taken for or cannot be written now, or more than the tasks has to be written. Not
    /// for tenants that are set apart, for whose rows all others would wait.
    package func write(_ changes: [TaskChange]) async throws -> Bool {
        guard changes.allSatisfy(\.isAlone) else { return false }
        // Rows that are not what they were taken for make a cast fail: that is invalid data, too.
        do {
            try await pool.transaction { tx in
                try tx.enqueue(LimitLockWaits())
                try Self.finish(changes, in: tx)
            }
            return true
        } catch let error as PostgresError where error.isFaultOfSomeRow || error.code == .deadlock {
            return false
        }
    }

    /// Takes due tasks for the dispatcher and writes what `decide` makes of them: one transaction, as in `change`.
    ///
    /// Of tenants that limit how many tasks with one label are at work it never takes one too many. A stage that needs
    /// no agent begins without being taken, and counts.
    ///
    /// - Parameter promptBytes: what each of them carries at most besides its input and draft.
    package func take<Result: Sendable>(
        _ grants: [(key: DispatchHint.Count, count: Int)], within limits: LabelLimits, promptBytes: Int, now: Date,
        decide: @escaping @Sendable ([QueuedTask]) -> (changes: [TaskChange], result: Result)
    ) async throws -> Taking<Result> {
        try await pool.transaction { tx in
            var taking = LimitedTake(grants, limits: limits, promptBytes: promptBytes, now: now)
            let decision = decide(try taking.run(in: tx))
            try Self.finish(decision.changes, in: tx)
            return Taking(result: decision.result, held: taking.held, unfinished: taking.unfinished)
        }
    }

    /// How many tasks with each of these labels are at work.
    package func running(_ labels: [TaskLabel], of tenant: TenantID) async throws -> [TaskLabel: Int] {
        if labels.isEmpty { return [:] }
        var counts = Dictionary(labels.map { ($0, 0) }) { first, _ in first }
        for row in try await pool.execute(CountLabelled(labels: labels.map { (tenant, $0) })) {
            counts[labels[row.place]] = row.count
        }
        return counts
    }

    package func find(_ id: TaskID, tenant: TenantID) async throws -> TaskDocument? {
        try await pool.execute(FindTask(id: id, tenant: tenant)).first
    }

    package func list(_ filter: TaskFilter) async throws -> [TaskRecord] {
        if let parent = filter.parent { return try await pool.execute(ListParts(parent: parent, filter: filter)) }
        return try await pool.execute(ListTasks(filter: filter))
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

    private static func escalate(_ changes: [TaskChange], in tx: borrowing PostgresTransaction) throws {
        let settled = changes.flatMap { change in change.settled.map { (change.task, $0) } }
        if !settled.isEmpty { try tx.enqueue(SettleEscalations(settled: settled)) }
        let filed = changes.flatMap { change in change.filed.map { (change.task, $0) } }
        if !filed.isEmpty { try tx.enqueue(FileEscalations(filed: filed)) }
    }

    private static func judge(_ changes: [TaskChange], in tx: borrowing PostgresTransaction) throws {
        let judged = changes.flatMap { change in change.judged.map { (change.task, $0) } }
        if !judged.isEmpty { try tx.enqueue(KeepPromptReviews(reviews: judged)) }
    }

    /// The transaction's last word: it is committed with this.
    private static func finish(_ changes: [TaskChange], in tx: borrowing PostgresTransaction) throws {
        guard !changes.isEmpty else { return }
        let settlements = changes.compactMap(\.settlement)
        if !settlements.isEmpty {
            var batch = BudgetBatch(settlements)
            _ = try batch.apply(in: tx)
        }
        try Self.escalate(changes, in: tx)
        try Self.judge(changes, in: tx)
        let withdrawn = changes.flatMap(\.withdrawn)
        if !withdrawn.isEmpty { try tx.enqueue(WithdrawOutbox(ids: withdrawn)) }
        try tx.enqueue(UpdateTasks(changes: changes))
        try tx.finish(
            AppendEffects(
                events: changes.flatMap(\.events), outbox: changes.flatMap(\.outbox),
                callbacks: changes.compactMap(\.callback)
            ))
    }
}
