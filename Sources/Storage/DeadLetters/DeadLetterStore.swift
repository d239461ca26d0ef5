package import Contracts
package import FoundationEssentials
package import Postgres

/// Which letters a listing shows.
package struct DeadLetterPage: Sendable {
    package let tenant: TenantID
    package var filter: DeadLetterFilter
    /// Both when nil.
    package var isResolved: Bool?
    /// Only letters before this one in the list.
    package var after: (at: Date, id: DeadLetterID)?
    package var limit: Int

    package init(
        tenant: TenantID, filter: DeadLetterFilter = DeadLetterFilter(), isResolved: Bool? = nil,
        after: (at: Date, id: DeadLetterID)? = nil, limit: Int
    ) {
        self.tenant = tenant
        self.filter = filter
        self.isResolved = isResolved
        self.after = after
        self.limit = limit
    }
}

package struct DeadLetterCount: Sendable, Equatable {
    package let unresolved: Int
    /// Those on subjects that may not wait.
    package let critical: Int

    package init(unresolved: Int, critical: Int) {
        self.unresolved = unresolved
        self.critical = critical
    }
}

/// The dead letters and their replays.
package final class DeadLetterStore: Sendable {
    /// After this a worker that says nothing has lost its replay. Less than the window in which the bus knows a message
    /// id again, so that what was sent and not noted is not stored twice.
    package static let leaseSeconds: Double = 30
    package static let groupsMax = 200
    /// What a worker holds of letters at a time is some batches of this size, however large the letters.
    package static let batchBytesMax = 8 << 20

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Filing

    /// Files letters; answers the message ids of those that are new.
    package func file(_ letters: [FiledLetter]) async throws -> [String] {
        guard !letters.isEmpty else { return [] }
        return try await pool.execute(FileDeadLetters(letters: letters))
    }

    // MARK: Looking

    package func list(_ page: DeadLetterPage) async throws -> [DeadLetter] {
        try await pool.execute(ListDeadLetters(page: page))
    }

    package func find(_ id: DeadLetterID, tenant: TenantID) async throws -> DeadLetterDocument? {
        try await pool.execute(FindDeadLetter(id: id, tenant: tenant)).first
    }

    package func groups(_ filter: DeadLetterFilter, tenant: TenantID) async throws -> [DeadLetterGroup] {
        try await pool.execute(GroupDeadLetters(filter: filter, tenant: tenant, limit: Self.groupsMax))
    }

    package func count(_ filter: DeadLetterFilter, tenant: TenantID) async throws -> Int {
        try await pool.execute(CountMatches(filter: filter, tenant: tenant)).first ?? 0
    }

    /// Of the whole installation.
    package func count(criticalPrefix: String) async throws -> DeadLetterCount {
        try await pool.execute(CountDeadLetters(criticalPrefix: criticalPrefix)).first
            ?? DeadLetterCount(unresolved: 0, critical: 0)
    }

    // MARK: Closing

    /// False when it was resolved before, or is not there.
    package func resolve(_ id: DeadLetterID, tenant: TenantID, by: String, notes: String) async throws -> Bool {
        try await pool.execute(ResolveDeadLetter(id: id, tenant: tenant, by: by, notes: notes)).first ?? false
    }

    /// Takes letters out of the table that were resolved long ago, once `archive` has kept them: at most `limit`, and
    /// no more than `batchBytesMax` and the letter that goes beyond it.
    ///
    /// - Returns: how many; 0 when there are no more.
    package func retire(
        olderThan age: Duration, limit: Int, archive: @escaping @Sendable ([DeadLetterDocument]) throws -> Void
    ) async throws -> Int {
        let take = TakeOldLetters(
            olderThanSeconds: Double(age.components.seconds), limit: limit, bytesMax: Self.batchBytesMax)
        return try await pool.transaction { tx in
            let old = try tx.execute(take)
            if !old.isEmpty { try archive(old) }
            return old.count
        }
    }

    // MARK: Replaying

    /// Replays of one tenant in workers' hands at once: far fewer than one worker takes.
    static let tenantReplaysMax = 4

    package func begin(_ request: ReplayRequest) async throws -> Replay {
        guard let replay = try await pool.execute(BeginReplay(request: request)).first else {
            throw StoreError(.guardFailed, "A replay could not be stored. Nothing was replayed.")
        }
        return replay
    }

    package func replay(_ id: ReplayID, tenant: TenantID) async throws -> Replay? {
        try await pool.execute(FindReplay(id: id, tenant: tenant)).first
    }

    package func replays(tenant: TenantID, limit: Int) async throws -> [Replay] {
        try await pool.execute(ListReplays(tenant: tenant, limit: limit))
    }

    /// Nil when it is not running.
    package func stop(_ id: ReplayID, tenant: TenantID) async throws -> Replay? {
        try await pool.execute(TurnReplay(id: id, tenant: tenant, from: .running, to: .stopped)).first
    }

    /// Nil when it is not stopped.
    package func resume(_ id: ReplayID, tenant: TenantID) async throws -> Replay? {
        try await pool.execute(TurnReplay(id: id, tenant: tenant, from: .stopped, to: .running)).first
    }

    /// The running replay that has waited longest, for one worker.
    package func claim() async throws -> ClaimedReplay? {
        try await pool.execute(ClaimReplay(leaseSeconds: Self.leaseSeconds, tenantMax: Self.tenantReplaysMax)).first
    }

    /// - Parameters:
    ///   - place: behind which letter; nil begins with the first.
    ///   - limit: letters.
    ///   - bytesMax: beyond this many the batch ends early; a larger letter still comes alone.
    package func next(
        of replay: Replay, after place: ReplayPlace?, limit: Int, bytesMax: Int = batchBytesMax
    ) async throws -> LetterBatch {
        let next = NextLetters(replay: replay, place: place, limit: limit, bytesMax: bytesMax)
        let found = try await pool.transaction { tx in
            try tx.enqueue(FindByIndex())
            return try tx.finish(next)
        }
        let isFull = found.count >= limit || (found.last?.batchBytes ?? 0) >= bytesMax
        return LetterBatch(letters: found.map(\.letter), isLast: !isFull)
    }

    package func tasks(_ ids: Set<TaskID>) async throws -> [TaskID: LetterTask] {
        guard !ids.isEmpty else { return [:] }
        let found = try await pool.execute(FindLetterTasks(ids: Array(ids)))
        return Dictionary(found.map { ($0.id, $0) }) { first, _ in first }
    }

    /// Writes down what became of a batch and how far the replay has come, in one transaction.
    ///
    /// - Returns: the replay as it stands; nil when the worker has lost it, and then only what it was the first to
    ///   settle is settled and counted.
    package func advance(
        _ claim: ClaimedReplay, past last: LetterInHand?, fates: [LetterFate], isDone: Bool
    ) async throws -> Replay? {
        let open = fates.filter { !$0.outcome.settles }
        let advance = AdvanceReplay(
            claim: claim, last: last, settled: fates.filter(\.outcome.settles), open: open.count, isDone: isDone,
            leaseSeconds: Self.leaseSeconds
        )
        let (by, replay) = (claim.replay.requestedBy, claim.replay.id)
        return try await pool.transaction { tx in
            try tx.enqueue(FindByIndex())
            if !open.isEmpty { try tx.enqueue(SettleLetters(fates: open, by: by, replay: replay)) }
            return try tx.finish(advance).first ?? nil
        }
    }

    /// Takes letters that a policy answers by itself; each of them once, whatever becomes of the taker.
    package func takeAnswerable(
        reasons: [String], families: [String], olderThan age: Duration, limit: Int
    ) async throws -> [LetterInHand] {
        try await pool.execute(
            TakeAnswerable(
                reasons: reasons, families: families, minAgeSeconds: Double(age.components.seconds), limit: limit))
    }

    package func settle(_ fates: [LetterFate], by: String) async throws {
        guard !fates.isEmpty else { return }
        try await pool.execute(SettleLetters(fates: fates, by: by, replay: nil))
    }

    /// Throws unless the tables are there.
    package func checkSchema() async throws { _ = try await count(criticalPrefix: ".") }
}
