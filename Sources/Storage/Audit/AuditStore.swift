package import FoundationEssentials
package import Postgres

/// Which entries a listing shows.
package struct AuditFilter: Sendable {
    package let chain: AuditChain
    package var actor: String?
    package var action: String?
    package var outcome: AuditEntry.Outcome?
    /// From this time on.
    package var from: Date?
    /// Before this time.
    package var to: Date?
    /// Only entries before this sequence.
    package var before: Int?
    package var limit: Int

    package init(chain: AuditChain, limit: Int) {
        self.chain = chain
        self.limit = limit
    }
}

/// The audit log: one hash chain per tenant, to which rows are only ever appended.
///
/// Whoever appends locks the chain's end in `audit_head`, so that a chain cannot fork; what arrives in the same moment
/// is written together. Ends are locked last in a transaction and in the tenants' order, so that no two transactions
/// wait for each other in a circle; only when a tenant's first entry is being written they can, and one is done again.
///
/// Nobody waits for another's chain that somebody has locked: single entries of such a chain are written apart from the
/// others for a while, and of several entries those of all other chains can be written.
package final class AuditStore: Sendable {
    /// Rows read at once when a chain is walked.
    static let pageMax = 1000

    private let pool: PostgresPool
    private let locked: LockedTenants
    private let writer: TenantWriter<AuditEntry, AuditReceipt>

    package init(pool: PostgresPool) {
        self.pool = pool
        let locked = LockedTenants()
        self.locked = locked
        writer = TenantWriter(
            name: "audit", pool: pool, maxInFlight: 1, locked: locked, patience: pool.configuration.lockTimeout,
            tenant: { $0.chain.tenant }
        ) { batch, tx in
            try tx.enqueue(LimitLockWaits())
            return try Self.finish(batch, in: tx)
        }
    }

    /// Commits one entry, together with whatever others arrive meanwhile. A chain that somebody has locked is waited
    /// for about as long as the pool waits for a lock.
    @discardableResult
    package func append(_ entry: AuditEntry) async throws -> AuditReceipt {
        try await writer.submit(entry, of: entry.chain.tenant)
    }

    /// Commits entries in their order: all of them or none, which is soon known where somebody has a chain locked.
    package func append(_ entries: [AuditEntry]) async throws {
        guard !entries.isEmpty else { return }
        try await pool.transaction { tx in
            try tx.enqueue(LimitLockWaits())
            _ = try Self.finish(entries, in: tx)
        }
    }

    /// Commits entries in their order, but for those of chains that somebody has locked: waits for no such chain, and
    /// answers them. While somebody opens one of the chains, those that are not open yet count as locked.
    package func appendUnlocked(_ entries: [AuditEntry]) async throws -> Set<AuditChain> {
        if entries.isEmpty { return [] }
        let passedOver = try await appendPassingOver(entries)
        for chain in passedOver { locked.note(chain.tenant) }
        return passedOver
    }

    private func appendPassingOver(_ entries: [AuditEntry]) async throws -> Set<AuditChain> {
        do {
            return try await appendUnlocked(entries, opening: true)
        } catch let error as PostgresError where error.isLockTimeout {
            // Only whoever opens one of the chains, too, is waited for.
            return try await appendUnlocked(entries, opening: false)
        }
    }

    private func appendUnlocked(_ entries: [AuditEntry], opening opens: Bool) async throws -> Set<AuditChain> {
        try await pool.transaction { tx in
            try tx.enqueue(LimitLockWaits())
            return try Self.finishUnlocked(entries, opening: opens, in: tx)
        }
    }

    /// Appends inside a transaction of the caller's, which keeps the chain's end locked until it commits: take it last.
    @discardableResult
    package static func append(
        _ entries: [AuditEntry], in tx: borrowing PostgresTransaction
    ) throws -> [AuditReceipt] {
        try append(entries, in: tx, commits: false)
    }

    /// The same as a transaction's last word: what it holds is committed with it.
    @discardableResult
    static func finish(_ entries: [AuditEntry], in tx: borrowing PostgresTransaction) throws -> [AuditReceipt] {
        try append(entries, in: tx, commits: true)
    }

    /// What `finish` would do first, for a transaction that sends it along with its own last statement.
    static func lock(for entries: [AuditEntry]) -> LockAuditHeads { LockAuditHeads(tenants: tenants(of: entries)) }

    /// Appends some of the entries whose chains are locked, as a transaction's last word.
    static func finish(_ entries: [AuditEntry], _ heads: [AuditHead], in tx: borrowing PostgresTransaction) throws {
        _ = try append(entries, heads, in: tx, commits: true)
    }

    private static func finishUnlocked(
        _ entries: [AuditEntry], opening opens: Bool, in tx: borrowing PostgresTransaction
    ) throws -> Set<AuditChain> {
        let tenants = tenants(of: entries)
        var heads = try tx.execute(LockFreeAuditHeads(tenants: tenants))
        let found = Set(heads.map(\.tenant))
        let others = tenants.filter { !found.contains($0) }
        if opens, !others.isEmpty {
            // A chain that is not there yet is not to be taken for one that is locked.
            try tx.enqueue(OpenAuditChains(tenants: others))
            heads += try tx.execute(LockFreeAuditHeads(tenants: others))
        }
        let free = Set(heads.map(\.tenant))
        try finish(entries.filter { free.contains($0.chain.text) }, heads, in: tx)
        return Set(entries.map(\.chain).filter { !free.contains($0.text) })
    }

    private static func tenants(of entries: [AuditEntry]) -> [String] { Set(entries.map(\.chain.text)).sorted() }

    private static func append(
        _ entries: [AuditEntry], in tx: borrowing PostgresTransaction, commits: Bool
    ) throws -> [AuditReceipt] {
        if entries.isEmpty { return [] }
        return try append(entries, try tx.execute(lock(for: entries)), in: tx, commits: commits)
    }

    private static func append(
        _ entries: [AuditEntry], _ locked: [AuditHead], in tx: borrowing PostgresTransaction, commits: Bool
    ) throws -> [AuditReceipt] {
        if entries.isEmpty { return [] }
        let tenants = tenants(of: entries)
        var heads = try opened(locked, tenants, in: tx)
        var rows: [AuditRow] = []
        rows.reserveCapacity(entries.count)
        for entry in entries {
            guard let head = heads[entry.chain.text] else {
                throw StoreError(.guardFailed, "The end of an audit chain could not be locked. Nothing was kept.")
            }
            let row = AuditRow(entry, sequence: head.sequence + 1, previousHash: head.hash)
            heads[row.tenant] = AuditHead(tenant: row.tenant, sequence: row.sequence, hash: row.hash)
            rows.append(row)
        }
        let append = AppendAudit(rows: rows, heads: tenants.compactMap { heads[$0] })
        if commits { try tx.finish(append) } else { try tx.enqueue(append) }
        return rows.map { AuditReceipt(sequence: $0.sequence, hash: $0.hash) }
    }

    /// Opens chains only where that is needed: once in a tenant's life.
    private static func opened(
        _ locked: [AuditHead], _ tenants: [String], in tx: borrowing PostgresTransaction
    ) throws -> [String: AuditHead] {
        var heads: [String: AuditHead] = [:]
        for head in locked { heads[head.tenant] = head }
        let missing = tenants.filter { heads[$0] == nil }
        if missing.isEmpty { return heads }
        try tx.enqueue(OpenAuditChains(tenants: missing))
        for head in try tx.execute(LockAuditHeads(tenants: missing)) { heads[head.tenant] = head }
        return heads
    }

    /// Newest first.
    package func list(_ filter: AuditFilter) async throws -> [AuditRow] {
        try await pool.execute(ListAudit(filter: filter))
    }

    /// Every chain there is, by the name it is stored under, those of rows without an end included.
    package func chains() async throws -> [String] { try await pool.execute(ListAuditChains()) }

    /// Hands out one chain from its first row on, a page at a time.
    package func read(
        chain: String, from first: Int = 1, _ page: ([AuditRow]) async throws -> Void
    ) async throws {
        var after = first - 1
        while true {
            let rows = try await pool.execute(ReadAuditChain(tenant: chain, after: after, limit: Self.pageMax))
            guard let last = rows.last else { return }
            try await page(rows)
            after = last.sequence
        }
    }

    /// Walks one chain and says whether every row is what was once appended, and none is missing.
    ///
    /// Others may append meanwhile: the walk is over when it has seen the row that the chain's end names.
    package func verify(chain: String) async throws -> AuditVerdict {
        var walk = AuditWalk(chain: chain)
        while true {
            try await read(chain: chain, from: walk.rows + 1) { rows in for row in rows { walk.take(row) } }
            if let broken = walk.broken { return walk.verdict(broken) }
            guard let end = try await pool.execute(ReadAuditEnd(tenant: chain)).first else {
                throw StoreError(.unreadableRow, "The end of an audit chain could not be read.")
            }
            if end.lastSequence <= walk.rows { return walk.verdict(walk.judge(end.head)) }
        }
    }

    package func shutdown() async {
        await writer.shutdown()
    }
}
