package import Contracts
package import Postgres

/// Which reservations a listing shows.
package struct ReservationFilter: Sendable {
    package let tenant: TenantID
    package var project: ProjectID?
    package var state: Reservation.State?
    /// Only those after this one.
    package var after: (project: ProjectID, request: BudgetRequestID)?
    package var limit: Int

    package init(
        tenant: TenantID, project: ProjectID? = nil, state: Reservation.State? = nil,
        after: (project: ProjectID, request: BudgetRequestID)? = nil, limit: Int
    ) {
        self.tenant = tenant
        self.project = project
        self.state = state
        self.after = after
        self.limit = limit
    }
}

/// The tenants' money: accounts, reservations and the ledger.
///
/// Reserving and settling go through one writer a shard of tenants, so that a hot account costs one locked row a batch
/// and not one a request. Nothing is cached: a limit changed by anybody, in SQL too, counts for the next batch.
package final class BudgetStore: Sendable {
    /// Writers, each for the tenants whose hash falls to it.
    static let shardCount = 2
    /// Batches of one writer at a time: while one holds the account, the next inserts its reservations. Twice the rate
    /// of one at a time; each occupies a connection.
    static let batchesInFlight = 2
    /// Tries of one operation whose outcome is unknown or that lost a race; it is safe to repeat by its request id.
    static let attemptsMax = 6
    /// Accounts that `verify` names at most.
    package static let differencesMax = 1000
    /// Rows of the ledger that `verify` adds up in one statement.
    package static let verifiedRows = 100_000

    private let pool: PostgresPool
    private let writers: [TenantWriter<Audited, BudgetAnswer>]

    /// An operation, and what the audit log is told when it is done.
    private struct Audited {
        let tenant: TenantID
        let operation: BudgetBook.Operation
        let entry: AuditEntry?
    }

    package init(pool: PostgresPool) {
        self.pool = pool
        let locked = LockedTenants()
        writers = (0..<Self.shardCount).map { shard in
            TenantWriter(
                name: "budget-\(shard)", pool: pool, maxInFlight: Self.batchesInFlight, locked: locked,
                tenant: { $0.tenant }
            ) { audited, tx in
                var batch = BudgetBatch(audited.map(\.operation))
                return try batch.run(auditing: audited.map(\.entry), in: tx)
            }
        }
    }

    // MARK: Reserving and settling

    /// Holds tokens on the project's and the tenant's accounts, all or nothing, together with whatever others ask for
    /// meanwhile. The same request answers the same again; one being answered elsewhere is waited for.
    ///
    /// - Parameter audit: committed with the hold when the outcome is `reserved`, and only then.
    package func reserve(_ request: ReservationRequest, audit: AuditEntry? = nil) async throws -> ReserveOutcome {
        let answer = try await submit(.reserve(request), of: request.key.tenant, audit)
        switch (answer.kind, answer.reservation) {
        case (.reserved, .some(let reservation)): return .reserved(reservation)
        case (.replayed, .some(let reservation)): return .replayed(reservation)
        case (.denied, .some(let reservation)):
            return .denied(reservation, try denial(reservation), isReplay: false)
        case (.deniedBefore, .some(let reservation)):
            return .denied(reservation, try denial(reservation), isReplay: true)
        case (.mismatch, _): return .mismatch
        case (.reserved, nil), (.replayed, nil), (.denied, nil), (.deniedBefore, nil), (.settled, _), (.conflict, _),
            (.unknown, _):
            throw StoreError(.guardFailed, "A reservation was not decided on. Nothing was held.")
        }
    }

    /// Ends a hold and books what was used. More than was held, or anything after the hold expired, is booked as
    /// overage and blocks the narrowest account.
    ///
    /// - Parameters:
    ///   - actual: tokens, 0 to `BudgetAccount.tokensMax`.
    ///   - audit: committed with it when the outcome is `settled`, and only then.
    package func commit(
        _ key: Reservation.Key, actual: Int, principal: String, audit: AuditEntry? = nil
    ) async throws -> SettleOutcome {
        precondition((0...BudgetAccount.tokensMax).contains(actual), "Usage is 0 to \(BudgetAccount.tokensMax).")
        return try settled(
            try await submit(.commit(key, actual: actual, principal: principal), of: key.tenant, audit)
        )
    }

    /// Ends a hold of which nothing was used.
    ///
    /// - Parameter audit: as of `commit`.
    package func release(
        _ key: Reservation.Key, principal: String, audit: AuditEntry? = nil
    ) async throws -> SettleOutcome {
        try settled(try await submit(.release(key, principal: principal), of: key.tenant, audit))
    }

    /// Ends holds whose time is over, in one transaction; answers how many.
    ///
    /// - Throws: when somebody holds an account locked, once every other tenant's were ended, each tenant's apart.
    package func sweepExpired(limit: Int, principal: String) async throws -> Int {
        do {
            return try await sweep(nil, limit, principal)
        } catch let lock as PostgresError where lock.isLockTimeout {
            for tenant in try await pool.execute(ListExpiredTenants()) {
                do {
                    _ = try await sweep(tenant, limit, principal)
                } catch let error as PostgresError where error.isLockTimeout {
                    continue
                }
            }
            throw lock
        }
    }

    private func sweep(_ tenant: TenantID?, _ limit: Int, _ principal: String) async throws -> Int {
        try await pool.transaction { tx in try BudgetBatch.sweep(tenant, limit: limit, by: principal, in: tx) }
    }

    /// Forgets reservations settled longer ago than their request ids are remembered; answers how many. The ledger
    /// keeps what they were.
    package func purgeSettled(limit: Int) async throws -> Int {
        try await pool.execute(PurgeReservations(limit: limit)).first ?? 0
    }

    private func settled(_ answer: BudgetAnswer) throws(StoreError) -> SettleOutcome {
        switch (answer.kind, answer.reservation) {
        case (.settled, .some(let reservation)): return .settled(reservation)
        case (.replayed, .some(let reservation)): return .replayed(reservation)
        case (.conflict, .some(let reservation)): return .conflict(reservation)
        case (.unknown, _): return .unknown
        case (.settled, nil), (.replayed, nil), (.conflict, nil), (.reserved, _), (.denied, _), (.deniedBefore, _),
            (.mismatch, _):
            throw StoreError(.guardFailed, "A reservation was not settled. Nothing was booked.")
        }
    }

    private func denial(_ reservation: Reservation) throws(StoreError) -> BudgetDenial {
        guard let denial = reservation.denial else {
            throw StoreError(.unreadableRow, "A denied reservation does not say why. Nothing was held.")
        }
        return denial
    }

    /// What was lost on the way is done again: it happens at most once under its request id. For locks the writer
    /// waits itself.
    private func submit(
        _ operation: BudgetBook.Operation, of tenant: TenantID, _ entry: AuditEntry?
    ) async throws -> BudgetAnswer {
        let writer = writers[Self.shard(of: tenant)]
        let audited = Audited(tenant: tenant, operation: operation, entry: entry)
        for _ in 1..<Self.attemptsMax {
            do {
                return try await writer.submit(audited, of: tenant)
            } catch let error as PostgresError where error.leavesIdempotentWork && !error.isLockTimeout {
                continue
            }
        }
        return try await writer.submit(audited, of: tenant)
    }

    /// Source: Fowler, Noll, Vo; 32-bit FNV-1a.
    private static func shard(of tenant: TenantID) -> Int {
        let hash = tenant.text.utf8.reduce(0x811c_9dc5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        return Int(hash % UInt32(shardCount))
    }

    // MARK: Accounts

    package func account(_ key: BudgetAccount.Key) async throws -> BudgetAccount? {
        try await pool.execute(ListAccounts(tenant: key.tenant, project: key.project, limit: 1)).first
    }

    /// A tenant's accounts in the order of their projects.
    package func accounts(
        of tenant: TenantID, after: ProjectID? = nil, limit: Int
    ) async throws -> [BudgetAccount] {
        try await pool.execute(ListAccounts(tenant: tenant, after: after, limit: limit))
    }

    /// Everybody's accounts, for metrics.
    package func allAccounts(limit: Int) async throws -> [BudgetAccount] {
        try await pool.execute(ListAccounts(limit: limit))
    }

    package func reservations(_ filter: ReservationFilter) async throws -> [Reservation] {
        try await pool.execute(ListReservations(filter: filter))
    }

    /// Opens an account or changes its limit; the ledger names `principal`.
    ///
    /// - Parameter expectedVersion: nil for any; 0 for an account that must not exist yet.
    package func setLimit(
        _ key: BudgetAccount.Key, totalLimit: Int, expectedVersion: Int?, principal: String
    ) async throws -> LimitOutcome {
        precondition((0...BudgetAccount.tokensMax).contains(totalLimit), "Limits are 0 to \(BudgetAccount.tokensMax).")
        let statement = SetLimit(key: key, totalLimit: totalLimit, expectedVersion: expectedVersion)
        let set = try await pool.transaction { tx in
            try tx.enqueue(NamePrincipal(principal: principal))
            return try tx.finish(statement).first
        }
        if let set { return .set(set) }
        return .stale(try await account(key))
    }

    /// Adds up the ledger and the holds of one tenant, or of all, and names what differs, at most `differencesMax`.
    ///
    /// - Parameter rows: how many of the ledger's are added up in one statement.
    package func verify(tenant: TenantID?, rows: Int = verifiedRows) async throws -> [BudgetDifference] {
        var tenants = tenant.map { [$0] } ?? []
        if tenant == nil { tenants = try await pool.execute(ListAccountTenants()) }
        var differences: [BudgetDifference] = []
        for tenant in tenants where differences.count < Self.differencesMax {
            let accounts = try await pool.execute(BeginVerification(tenant: tenant))
            var verification = BudgetVerification(accounts, of: tenant, pageRows: rows)
            while let page = verification.next { verification.add(try await pool.execute(page)) }
            differences += verification.differences
        }
        return Array(differences.prefix(Self.differencesMax))
    }

    package func shutdown() async {
        for writer in writers { await writer.shutdown() }
    }
}

extension PostgresError {
    /// Work that happens at most once under its id may be done again after this.
    var leavesIdempotentWork: Bool {
        switch code {
        case .outcomeUnknown, .connectionLost, .deadlock, .serializationFailure: true
        case .timeout: isLockTimeout
        case .connectFailed, .authenticationFailed, .cancelled, .poolExhausted, .overloaded, .constraintViolation,
            .invalidData, .sql, .decoding, .closed:
            false
        }
    }
}

extension Error {
    /// A batch may have failed for the sake of one of its rows: without it the others may well be written.
    package var isFaultOfSomeRow: Bool {
        if self is StoreError { return true }
        guard let error = self as? PostgresError else { return false }
        switch error.code {
        case .constraintViolation, .invalidData, .decoding: return true
        case .timeout, .sql: return error.isLockTimeout
        case .connectFailed, .authenticationFailed, .cancelled, .connectionLost, .outcomeUnknown, .poolExhausted,
            .overloaded, .serializationFailure, .deadlock, .closed:
            return false
        }
    }
}
