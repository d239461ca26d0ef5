import Contracts
import Foundation

@testable import Storage

/// The rows of budgets as Postgres holds them; each operation is one transaction around the real book.
struct Money {
    private(set) var accounts: [BudgetAccount.Key: BudgetAccount] = [:]
    private(set) var entries: [Reservation.Key: BudgetBook.Entry] = [:]
    /// In the order they were made, so that what is looked at is the same in every run.
    private(set) var keys: [Reservation.Key] = []
    private(set) var bookings: [BudgetBook.Booking] = []
    /// Finds every hold pending: the plant `repeatedCharge`.
    var forgetsSettlements = false

    mutating func open(_ key: BudgetAccount.Key, limit: Int, at: Date) {
        accounts[key] = BudgetAccount(
            key: key, totalLimit: limit, used: 0, reserved: 0, overage: 0, isBlocked: false, version: 1, createdAt: at,
            updatedAt: at)
    }

    mutating func reserve(_ request: ReservationRequest, now: Date) -> BudgetBook.Verdict {
        if entries[request.key] == nil {
            keys.append(request.key)
            let found = BudgetAccount.keys(tenant: request.key.tenant, project: request.key.project)
            entries[request.key] = BudgetBook.Entry(
                reservation: Reservation(
                    key: request.key, principal: request.principal, task: request.task, amount: request.amount,
                    state: .pending, actual: nil, createdAt: now,
                    expiresAt: now.addingTimeInterval(Double(request.timeToLiveSeconds)), settledAt: nil,
                    accounts: found.filter { accounts[$0] != nil }.map(\.project)),
                fingerprint: request.fingerprint, seenAt: now, isUndecided: true)
        }
        return decide(.reserve(request), on: request.key, now: now)
    }

    mutating func settle(_ operation: BudgetBook.Operation, on key: Reservation.Key, now: Date) -> BudgetBook.Verdict {
        if forgetsSettlements, var reservation = entries[key]?.reservation, reservation.state == .committed {
            reservation.state = .pending
            entries[key]?.reservation = reservation
        }
        return decide(operation, on: key, now: now)
    }

    private mutating func decide(
        _ operation: BudgetBook.Operation, on key: Reservation.Key, now: Date
    ) -> BudgetBook.Verdict {
        var book = BudgetBook()
        if let entry = entries[key] {
            book.add([
                BudgetBook.Entry(
                    reservation: entry.reservation, fingerprint: entry.fingerprint, seenAt: now,
                    isUndecided: entry.isUndecided)
            ])
        }
        book.add(BudgetAccount.keys(tenant: key.tenant, project: key.project).compactMap { accounts[$0] })
        let verdict = book.decide(operation)
        if let entry = book.entries[key] { entries[key] = entry }
        for (key, account) in book.accounts { accounts[key] = account }
        bookings += book.bookings
        return verdict
    }

    /// Holds whose time is over.
    func overdue(now: Date) -> [Reservation.Key] {
        keys.filter { entries[$0].map { $0.reservation.state == .pending && $0.reservation.expiresAt <= now } ?? false }
    }

    /// What does not add up; nil when everything does.
    var fault: String? {
        for (key, account) in accounts {
            let own = bookings.filter { $0.account == key }
            if account.used != own.reduce(0, { $0 + $1.used }) { return "an account's usage is not its ledger's" }
            if account.reserved != own.reduce(0, { $0 + $1.reserved }) {
                return "an account's holds are not its ledger's"
            }
            if account.reserved < 0 { return "an account holds less than nothing" }
            // What nobody held is booked whatever the limit: all else stays below it.
            if account.used - account.overage + account.reserved > account.totalLimit {
                return "an account is above its limit"
            }
        }
        for key in keys {
            guard let reservation = entries[key]?.reservation else { continue }
            for account in reservation.accounts {
                let own = bookings.filter { $0.request == key.request && $0.account.project == account }
                if own.reduce(0, { $0 + $1.used }) != reservation.actual ?? 0 {
                    return "\(key.request) is not charged what it used, once"
                }
                let held = reservation.state == .pending ? reservation.amount : 0
                if own.reduce(0, { $0 + $1.reserved }) != held { return "\(key.request) holds what it should not" }
            }
        }
        return nil
    }
}
