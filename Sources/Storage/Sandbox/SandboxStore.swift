package import Contracts
internal import FoundationEssentials
package import Postgres

/// The runs of programs. Each is kept before it is promised, claimed by one executor at a time, and ends once.
package struct SandboxStore: Sendable {
    /// A run that has lost so many executors is not begun again: it may be what killed them.
    package static let lostMax = 3
    /// After an end, before somebody else than its maker publishes the result.
    package static let publishGraceSeconds: Double = 2
    /// Without a sign of life for so long, an executor is taken to be gone.
    package static let leaseSeconds: Double = 15

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Asking

    /// - Parameter waitingMax: how many the tenant may have waiting; a run that one of its tasks is under test with is
    ///   kept all the same.
    package func admit(_ new: NewExecution, waitingMax: Int) async throws -> ExecutionAdmission {
        if let accepted = try await pool.execute(InsertExecution(new: new, waitingMax: waitingMax)).first {
            return .accepted(accepted)
        }
        guard let known = try await pool.execute(FindExecution(id: new.id)).first else { return .full }
        return .exists(known)
    }

    package func find(_ id: ExecutionID, tenant: TenantID) async throws -> Execution? {
        try await pool.execute(FindExecution(id: id)).first { $0.tenant == tenant }
    }

    /// Which of them have ended.
    package func ended(among ids: [ExecutionID]) async throws -> [ExecutionID] {
        guard !ids.isEmpty else { return [] }
        return try await pool.execute(EndedExecutionIDs(ids: ids))
    }

    /// What became of it: ended when it waited, asked to stop when it ran. Nil: it has ended, or there is none.
    package func cancel(_ id: ExecutionID, tenant: TenantID) async throws -> Execution? {
        let result = JSONWriter.object(SandboxOutcome(status: .canceled).write)
        return try await pool.execute(CancelExecution(id: id, tenant: tenant, result: result)).first
    }

    // MARK: Executing

    /// Those that wait, of each tenant the oldest first; and how many there are in all.
    package func waiting(limit: Int) async throws -> (tickets: [(id: ExecutionID, tenant: TenantID)], count: Int) {
        let tickets = try await pool.execute(WaitingExecutions(limit: limit))
        if tickets.count < limit { return (tickets, tickets.count) }
        return (tickets, try await pool.execute(CountWaitingExecutions()).first ?? tickets.count)
    }

    /// Nil: somebody else has it, or it was canceled.
    package func claim(_ id: ExecutionID, by executor: String) async throws -> ClaimedExecution? {
        try await pool.execute(ClaimExecution(id: id, executor: executor, leaseSeconds: Self.leaseSeconds)).first
    }

    /// Extends the claims; answers those that still hold, and whether they are to be canceled.
    package func renew(_ ids: [ExecutionID], by executor: String) async throws -> [ExecutionID: Bool] {
        guard !ids.isEmpty else { return [:] }
        let rows = try await pool.execute(
            RenewExecutions(ids: ids, executor: executor, leaseSeconds: Self.leaseSeconds))
        return Dictionary(rows.map { ($0.id, $0.isCanceled) }) { first, _ in first }
    }

    /// False: the claim was lost, and this result counts for nothing.
    package func end(
        _ execution: Execution, by executor: String, outcome: SandboxOutcome, pieces: String
    ) async throws -> Bool {
        let statement = EndExecution(
            id: execution.id, executor: executor, tries: execution.tries, status: outcome.status,
            result: JSONWriter.object(outcome.write), pieces: pieces
        )
        return try await !pool.execute(statement).isEmpty
    }

    /// Lets it wait again, or ends it when it is to be canceled.
    package func release(_ execution: Execution, by executor: String) async throws {
        let statement = ReleaseExecution(
            id: execution.id, executor: executor, tries: execution.tries,
            canceled: JSONWriter.object(SandboxOutcome(status: .canceled).write))
        _ = try await pool.execute(statement)
    }

    /// Lets runs of executors that are gone wait again, or ends them; answers how many.
    package func takeBack() async throws -> Int {
        let lost = SandboxOutcome.failed(
            "executor_lost",
            "The run has lost its executor \(Self.lostMax) times; nothing was kept. Run it anew.")
        let statement = TakeBackExecutions(
            lostMax: Self.lostMax, lost: JSONWriter.object(lost.write),
            canceled: JSONWriter.object(SandboxOutcome(status: .canceled).write)
        )
        return try await pool.execute(statement).count
    }

    // MARK: Results

    /// Those whose results are to be published, the oldest first.
    package func unpublished(limit: Int) async throws -> [(id: ExecutionID, tenant: TenantID)] {
        try await pool.execute(UnpublishedExecutions(olderThanSeconds: Self.publishGraceSeconds, limit: limit))
    }

    package func markPublished(_ ids: [ExecutionID]) async throws {
        guard !ids.isEmpty else { return }
        try await pool.execute(MarkExecutionsPublished(ids: ids))
    }

    /// Forgets results older than that; answers how many.
    package func purge(olderThanSeconds seconds: Double, limit: Int) async throws -> Int {
        try await pool.execute(PurgeExecutions(olderThanSeconds: seconds, limit: limit)).count
    }

    /// Throws unless the table is there, with all that executors need of it.
    package func checkSchema() async throws { _ = try await pool.execute(CheckSandboxSchema()) }
}
