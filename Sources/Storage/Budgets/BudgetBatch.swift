internal import Contracts
internal import Postgres

/// Carries out a batch of budget operations in one transaction.
///
/// Locks are taken in one order by everybody: new reservations, existing ones, accounts; each kind by its key, a
/// tenant's own account after its projects'. So no two transactions wait for each other in a circle, and the hot row,
/// the account, is held for the last round trip only.
struct BudgetBatch {
    private let operations: [BudgetBook.Operation]
    private var book = BudgetBook()

    init(_ operations: [BudgetBook.Operation]) {
        self.operations = operations
    }

    /// Decides and commits, with the audit entries of the operations that do what they ask for; one answer an
    /// operation, in order.
    ///
    /// - Parameter audits: one an operation, nil for those that are recorded elsewhere.
    mutating func run(auditing audits: [AuditEntry?], in tx: borrowing PostgresTransaction) throws -> [BudgetAnswer] {
        let answers = try prepare(in: tx).map(answer)
        let entries = zip(audits, answers).compactMap { $1.kind.isDone ? $0 : nil }
        if entries.isEmpty {
            if !book.isUnchanged { try tx.finish(WriteBudget(book)) }
        } else {
            try tx.enqueue(WriteBudget(book))
            try AuditStore.finish(entries, in: tx)
        }
        return answers
    }

    /// The same within a transaction that has more to do; what is to be written travels with its next statement.
    mutating func apply(in tx: borrowing PostgresTransaction) throws -> [BudgetAnswer] {
        let verdicts = try prepare(in: tx)
        if !book.isUnchanged { try tx.enqueue(WriteBudget(book)) }
        return verdicts.map(answer)
    }

    private mutating func prepare(in tx: borrowing PostgresTransaction) throws -> [BudgetBook.Verdict] {
        try tx.enqueue(PrepareBatch())
        try insertNew(in: tx)
        try readExisting(in: tx)
        return try decide(in: tx)
    }

    /// Ends holds whose time is over, at most `limit`, skipping those somebody is settling; answers how many.
    ///
    /// - Parameter tenant: whose; everybody's when nil.
    static func sweep(
        _ tenant: TenantID?, limit: Int, by principal: String, in tx: borrowing PostgresTransaction
    ) throws -> Int {
        try tx.enqueue(PrepareBatch())
        let expired = try tx.execute(LockExpired(tenant: tenant, limit: limit))
        if expired.isEmpty { return 0 }
        let keys = expired.map(\.reservation.key)
        var batch = BudgetBatch(keys.map { .expire($0, principal: principal) })
        batch.book.add(expired)
        _ = try batch.decide(in: tx)
        try tx.finish(WriteBudget(batch.book))
        return expired.count
    }

    // MARK: Steps

    /// Inserts every reservation that is not there yet; waits for those that another transaction is inserting.
    private mutating func insertNew(in tx: borrowing PostgresTransaction) throws {
        var first: [Reservation.Key: ReservationRequest] = [:]
        for request in operations.compactMap(\.reserving) where first[request.key] == nil {
            first[request.key] = request
        }
        if first.isEmpty { return }
        book.add(try tx.execute(InsertReservations(requests: first.values.sorted { $0.key < $1.key })))
    }

    /// Reads what was there before. Only what is being settled is locked: a repeated request waits for nobody.
    private mutating func readExisting(in tx: borrowing PostgresTransaction) throws {
        var settled: Set<Reservation.Key> = []
        var asked: Set<Reservation.Key> = []
        for operation in operations {
            switch operation {
            case .reserve(let request): asked.insert(request.key)
            case .split(let parent, let request):
                asked.insert(request.key)
                settled.insert(parent)
            case .commit(let key, _, _), .release(let key, _), .expire(let key, _): settled.insert(key)
            }
        }
        let locked = settled.filter { book.entries[$0] == nil }
        let read = asked.filter { book.entries[$0] == nil && !locked.contains($0) }
        if !locked.isEmpty { book.add(try tx.execute(LockReservations(keys: locked.sorted()))) }
        if !read.isEmpty { book.add(try tx.execute(FindReservations(keys: read.sorted()))) }
        guard asked.allSatisfy({ book.entries[$0] != nil }) else {
            // Deleted between the two statements; as good as a serialization failure, and tried again like one.
            throw PostgresError(.serializationFailure, "A reservation vanished while it was read. Nothing was kept.")
        }
    }

    private mutating func decide(in tx: borrowing PostgresTransaction) throws -> [BudgetBook.Verdict] {
        let keys = accountKeys()
        if !keys.isEmpty { book.add(try tx.execute(LockAccounts(keys: keys))) }
        var verdicts: [BudgetBook.Verdict] = []
        verdicts.reserveCapacity(operations.count)
        for operation in operations { verdicts.append(book.decide(operation)) }
        try nameHolds(of: verdicts, in: tx)
        return verdicts
    }

    /// The accounts that anything undecided or being settled could touch; none for a batch of repetitions.
    private func accountKeys() -> [BudgetAccount.Key] {
        var keys: Set<BudgetAccount.Key> = []
        for operation in operations {
            let key: Reservation.Key
            switch operation {
            case .reserve(let request), .split(_, let request):
                guard book.entries[request.key]?.isUndecided == true else { continue }
                key = request.key
            case .commit(let settled, _, _), .release(let settled, _), .expire(let settled, _):
                guard book.entries[settled].map({ $0.reservation.canChange }) == true else { continue }
                key = settled
            }
            keys.formUnion(BudgetAccount.keys(tenant: key.tenant, project: key.project))
        }
        return Array(keys)
    }

    /// Tells every new denial who holds the tokens that were missing.
    private mutating func nameHolds(of verdicts: [BudgetBook.Verdict], in tx: borrowing PostgresTransaction) throws {
        var denied: [(key: Reservation.Key, account: BudgetAccount.Key)] = []
        var holders: Set<BudgetAccount.Key> = []
        for case .denied(let key, isReplay: false) in verdicts {
            guard let denial = book.entries[key]?.reservation.denial, denial.reserved > 0 else { continue }
            let account = BudgetAccount.Key(tenant: key.tenant, project: denial.project)
            denied.append((key, account))
            holders.insert(account)
        }
        if holders.isEmpty { return }
        let found = try tx.execute(ListHolds(accounts: Array(holders), except: Array(book.rewritten)))
        let holds = Dictionary(grouping: found, by: \.account)
        for (key, account) in denied { book.name((holds[account] ?? []).map(\.hold), in: key) }
    }

    private func answer(_ verdict: BudgetBook.Verdict) -> BudgetAnswer {
        switch verdict {
        case .reserved(let key): BudgetAnswer(.reserved, book.entries[key]?.reservation)
        case .replayed(let key): BudgetAnswer(.replayed, book.entries[key]?.reservation)
        case .denied(let key, let isReplay):
            BudgetAnswer(isReplay ? .deniedBefore : .denied, book.entries[key]?.reservation)
        case .mismatch: BudgetAnswer(.mismatch, nil)
        case .settled(let key): BudgetAnswer(.settled, book.entries[key]?.reservation)
        case .conflict(let key): BudgetAnswer(.conflict, book.entries[key]?.reservation)
        case .unknown: BudgetAnswer(.unknown, nil)
        }
    }
}

/// What one operation of a batch is answered, reserving and settling alike; the store tells them apart again.
struct BudgetAnswer: Sendable {
    enum Kind: Sendable {
        case reserved, replayed, denied, deniedBefore, mismatch, settled, conflict, unknown

        /// What was asked for was done, now and not before.
        var isDone: Bool {
            switch self {
            case .reserved, .settled: true
            case .replayed, .denied, .deniedBefore, .mismatch, .conflict, .unknown: false
            }
        }
    }

    let kind: Kind
    let reservation: Reservation?

    init(_ kind: Kind, _ reservation: Reservation?) {
        self.kind = kind
        self.reservation = reservation
    }
}

extension Reservation {
    /// True while a commit or release could still change something.
    fileprivate var canChange: Bool { state == .pending || (state == .expired && actual == nil) }
}

extension BudgetBook.Operation {
    /// The new hold it asks for.
    fileprivate var reserving: ReservationRequest? {
        switch self {
        case .reserve(let request), .split(_, let request): request
        case .commit, .release, .expire: nil
        }
    }
}

extension Reservation.Key: Comparable {
    /// The order in which reservations are locked.
    package static func < (left: Self, right: Self) -> Bool {
        (left.tenant, left.project, left.request.text) < (right.tenant, right.project, right.request.text)
    }
}
