internal import Contracts
internal import FoundationEssentials

/// Decides about money, purely: rows that a transaction has locked go in, outcomes and what is to be written come out.
///
/// Operations are decided one by one in their order, each seeing what the ones before it did, so that a batch admits
/// what fits and denies what does not exactly as if they had come alone.
struct BudgetBook {
    enum Operation: Sendable {
        case reserve(ReservationRequest)
        /// Holds tokens by taking them over from another hold; as `reserve` where that one does not exist.
        case split(Reservation.Key, ReservationRequest)
        case commit(Reservation.Key, actual: Int, principal: String)
        case release(Reservation.Key, principal: String)
        /// Ends a hold whose time is over; any other is left alone.
        case expire(Reservation.Key, principal: String)
    }

    /// What an operation came to; the reservation it is about is in `entries`.
    enum Verdict: Equatable {
        case reserved(Reservation.Key)
        case replayed(Reservation.Key)
        case denied(Reservation.Key, isReplay: Bool)
        case mismatch
        case settled(Reservation.Key)
        case conflict(Reservation.Key)
        case unknown
    }

    /// A reservation as its row says.
    struct Entry: Sendable {
        var reservation: Reservation
        let fingerprint: [UInt8]
        /// The database's time when the row was locked.
        let seenAt: Date
        /// Inserted by this very transaction and not decided on yet.
        var isUndecided = false
    }

    struct AccountChange: Equatable {
        var used = 0
        var reserved = 0
        var overage = 0
        var blocks = false
    }

    /// One row of the ledger.
    struct Booking: Equatable {
        enum Kind: String {
            case reserve, commit, release, expire, overage
        }

        let kind: Kind
        let account: BudgetAccount.Key
        let request: BudgetRequestID
        let task: TaskID?
        let used: Int
        let reserved: Int
        let principal: String
    }

    private(set) var entries: [Reservation.Key: Entry] = [:]
    private(set) var accounts: [BudgetAccount.Key: BudgetAccount] = [:]
    private(set) var accountChanges: [BudgetAccount.Key: AccountChange] = [:]
    /// Reservations whose rows are to be written again.
    private(set) var rewritten: Set<Reservation.Key> = []
    private(set) var bookings: [Booking] = []

    var isUnchanged: Bool { rewritten.isEmpty && bookings.isEmpty }

    mutating func add(_ entries: [Entry]) {
        for entry in entries { self.entries[entry.reservation.key] = entry }
    }

    mutating func add(_ accounts: [BudgetAccount]) {
        for account in accounts { self.accounts[account.key] = account }
    }

    /// Completes a new denial with who holds the tokens.
    mutating func name(_ holds: [BudgetDenial.Hold], in denied: Reservation.Key) {
        entries[denied]?.reservation.denial?.holds = holds
    }

    mutating func decide(_ operation: Operation) -> Verdict {
        switch operation {
        case .reserve(let request): return reserve(request)
        case .split(let parent, let request): return split(parent, request)
        case .commit(let key, let actual, let principal):
            guard let entry = entryToSettle(key) else { return .unknown }
            return commit(entry, actual: actual, by: principal)
        case .release(let key, let principal):
            guard let entry = entryToSettle(key) else { return .unknown }
            return release(entry, by: principal)
        case .expire(let key, let principal):
            guard var entry = entryToSettle(key), entry.reservation.state == .pending, Self.isPast(entry) else {
                return .unknown
            }
            end(&entry, as: .expired, by: principal)
            return .settled(key)
        }
    }

    // MARK: Reserving

    private mutating func reserve(_ request: ReservationRequest) -> Verdict {
        let key = request.key
        guard var entry = entries[key] else { return .unknown }
        guard entry.isUndecided else {
            guard entry.fingerprint == request.fingerprint else { return .mismatch }
            return entry.reservation.state == .denied ? .denied(key, isReplay: true) : .replayed(key)
        }
        entry.isUndecided = false
        let charged = charged(entry.reservation)
        if let refusing = charged.first(where: { $0.available < request.amount }) {
            entry.reservation.state = .denied
            entry.reservation.settledAt = entry.seenAt
            entry.reservation.denial = BudgetDenial(
                reason: refusing.isBlocked ? .blocked : .exhausted, project: refusing.key.project,
                totalLimit: refusing.totalLimit, used: refusing.used, reserved: refusing.reserved
            )
            rewrite(entry)
            return .denied(key, isReplay: false)
        }
        entries[key] = entry
        for account in charged {
            book(.reserve, on: account.key, entry, AccountChange(reserved: request.amount), by: request.principal)
        }
        return .reserved(key)
    }

    /// Moves tokens from one hold to a new one; the accounts' sums stay as they are.
    ///
    /// The new hold is charged to the accounts the other one is charged to, whatever accounts were opened since.
    private mutating func split(_ key: Reservation.Key, _ request: ReservationRequest) -> Verdict {
        guard var parent = entryToSettle(key), parent.reservation.state == .pending, var part = entries[request.key],
            part.isUndecided
        else { return reserve(request) }
        guard parent.reservation.amount > request.amount else { return .mismatch }
        let charged = charged(parent.reservation).map(\.key)
        part.isUndecided = false
        part.reservation.accounts = charged.map(\.project)
        parent.reservation.amount -= request.amount
        for account in charged {
            book(.reserve, on: account, parent, AccountChange(reserved: -request.amount), by: request.principal)
            book(.reserve, on: account, part, AccountChange(reserved: request.amount), by: request.principal)
        }
        rewrite(parent)
        rewrite(part)
        return .reserved(request.key)
    }

    // MARK: Settling

    /// The reservation if it exists by now; one that is decided later in this batch does not yet.
    private func entryToSettle(_ key: Reservation.Key) -> Entry? {
        guard let entry = entries[key], !entry.isUndecided else { return nil }
        return entry
    }

    private mutating func commit(_ entry: Entry, actual: Int, by principal: String) -> Verdict {
        var entry = entry
        let key = entry.reservation.key
        switch entry.reservation.state {
        case .pending where Self.isPast(entry):
            end(&entry, as: .expired, by: principal)
            bookLate(&entry, actual: actual, by: principal)
            return .settled(key)
        case .pending:
            end(&entry, as: .committed, actual: actual, by: principal)
            return .settled(key)
        case .committed: return entry.reservation.actual == actual ? .replayed(key) : .conflict(key)
        case .expired:
            guard let known = entry.reservation.actual else {
                bookLate(&entry, actual: actual, by: principal)
                return .settled(key)
            }
            return known == actual ? .replayed(key) : .conflict(key)
        case .released, .denied: return .conflict(key)
        }
    }

    private mutating func release(_ entry: Entry, by principal: String) -> Verdict {
        var entry = entry
        let key = entry.reservation.key
        switch entry.reservation.state {
        case .pending:
            end(&entry, as: Self.isPast(entry) ? .expired : .released, by: principal)
            return .settled(key)
        case .released: return .replayed(key)
        case .expired: return entry.reservation.actual == nil ? .replayed(key) : .conflict(key)
        case .committed, .denied: return .conflict(key)
        }
    }

    /// Ends a hold: gives back what it held and, when committed, books what was used.
    private mutating func end(
        _ entry: inout Entry, as state: Reservation.State, actual: Int? = nil, by principal: String
    ) {
        let held = Set(charged(entry.reservation).map(\.key))
        let amount = entry.reservation.amount
        let kind: Booking.Kind = state == .committed ? .commit : state == .released ? .release : .expire
        entry.reservation.state = state
        entry.reservation.actual = actual
        entry.reservation.settledAt = entry.seenAt
        for account in existing(entry.reservation) {
            let change = AccountChange(
                used: min(actual ?? 0, amount), reserved: held.contains(account.key) ? -amount : 0
            )
            if change != AccountChange() { book(kind, on: account.key, entry, change, by: principal) }
        }
        bookOverage(entry, by: principal)
        rewrite(entry)
    }

    /// Usage reported after the hold was gone: all of it is overage. The reservation stays expired.
    private mutating func bookLate(_ entry: inout Entry, actual: Int, by principal: String) {
        entry.reservation.actual = actual
        bookOverage(entry, by: principal)
        rewrite(entry)
    }

    /// Books what no hold covered, on every account there is; the narrowest of them is blocked.
    private mutating func bookOverage(_ entry: Entry, by principal: String) {
        let overage = entry.reservation.overage
        guard overage > 0 else { return }
        for (index, account) in existing(entry.reservation).enumerated() {
            let change = AccountChange(used: overage, overage: overage, blocks: index == 0)
            book(.overage, on: account.key, entry, change, by: principal)
        }
    }

    // MARK: Accounts

    /// The accounts that usage is booked on, the tenant's last.
    private func existing(_ reservation: Reservation) -> [BudgetAccount] {
        BudgetAccount.keys(tenant: reservation.key.tenant, project: reservation.key.project).compactMap { accounts[$0] }
    }

    /// Of these, the accounts that hold the reservation's amount: those it found, unless removed and opened anew since.
    private func charged(_ reservation: Reservation) -> [BudgetAccount] {
        existing(reservation).filter {
            reservation.accounts.contains($0.key.project) && $0.createdAt <= reservation.createdAt
        }
    }

    private mutating func book(
        _ kind: Booking.Kind, on account: BudgetAccount.Key, _ entry: Entry, _ change: AccountChange,
        by principal: String
    ) {
        bookings.append(
            Booking(
                kind: kind, account: account, request: entry.reservation.key.request, task: entry.reservation.task,
                used: change.used, reserved: change.reserved, principal: principal
            )
        )
        accountChanges[account, default: AccountChange()].add(change)
        accounts[account]?.add(change)
    }

    private mutating func rewrite(_ entry: Entry) {
        entries[entry.reservation.key] = entry
        rewritten.insert(entry.reservation.key)
    }

    private static func isPast(_ entry: Entry) -> Bool { entry.reservation.expiresAt <= entry.seenAt }
}

extension BudgetBook.AccountChange {
    fileprivate mutating func add(_ other: Self) {
        used += other.used
        reserved += other.reserved
        overage += other.overage
        blocks = blocks || other.blocks
    }
}

extension BudgetAccount {
    fileprivate mutating func add(_ change: BudgetBook.AccountChange) {
        // Rows that somebody wrote by hand may be near the end of 64 bits; the database refuses what passes it.
        used = used.addingReportingOverflow(change.used).partialValue
        reserved = reserved.addingReportingOverflow(change.reserved).partialValue
        overage = overage.addingReportingOverflow(change.overage).partialValue
        isBlocked = isBlocked || change.blocks
    }
}
