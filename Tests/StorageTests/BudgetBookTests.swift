import Contracts
import Foundation
import Testing

@testable import Storage

/// The decisions about money, without a database.
@Suite(.timeLimit(.minutes(10))) struct `Budget book` {
    static let tenant = TenantID(literal: "acme")
    static let project = ProjectID(literal: "alpha")
    static let start = Date(timeIntervalSince1970: 1_800_000_000)

    struct Settling: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var state = Reservation.State.pending
        var actual: Int?
        var isPast = false
        let operation: @Sendable (Reservation.Key) -> BudgetBook.Operation
        let verdict: @Sendable (Reservation.Key) -> BudgetBook.Verdict
        var becomes: Reservation.State?
        /// Changes of used, reserved and overage.
        var change: BudgetBook.AccountChange?
        var booked: [BudgetBook.Booking.Kind] = []

        static func commit(_ actual: Int) -> @Sendable (Reservation.Key) -> BudgetBook.Operation {
            { .commit($0, actual: actual, principal: "u") }
        }
        static let release: @Sendable (Reservation.Key) -> BudgetBook.Operation = { .release($0, principal: "u") }
        static let expire: @Sendable (Reservation.Key) -> BudgetBook.Operation = { .expire($0, principal: "u") }
        static let settled: @Sendable (Reservation.Key) -> BudgetBook.Verdict = { .settled($0) }
        static let replayed: @Sendable (Reservation.Key) -> BudgetBook.Verdict = { .replayed($0) }
        static let conflict: @Sendable (Reservation.Key) -> BudgetBook.Verdict = { .conflict($0) }
        static let unknown: @Sendable (Reservation.Key) -> BudgetBook.Verdict = { _ in .unknown }
    }

    /// Every state and operation, for a hold of 40.
    static let settlings: [Settling] = [
        Settling(
            testDescription: "commit less than held", operation: Settling.commit(30), verdict: Settling.settled,
            becomes: .committed, change: .init(used: 30, reserved: -40), booked: [.commit]),
        Settling(
            testDescription: "commit nothing", operation: Settling.commit(0), verdict: Settling.settled,
            becomes: .committed, change: .init(reserved: -40), booked: [.commit]),
        Settling(
            testDescription: "commit more than held", operation: Settling.commit(55), verdict: Settling.settled,
            becomes: .committed, change: .init(used: 55, reserved: -40, overage: 15, blocks: true),
            booked: [.commit, .overage]),
        Settling(
            testDescription: "commit past its time", isPast: true, operation: Settling.commit(30),
            verdict: Settling.settled, becomes: .expired,
            change: .init(used: 30, reserved: -40, overage: 30, blocks: true), booked: [.expire, .overage]),
        Settling(
            testDescription: "commit nothing past its time", isPast: true, operation: Settling.commit(0),
            verdict: Settling.settled, becomes: .expired, change: .init(reserved: -40), booked: [.expire]),
        Settling(
            testDescription: "commit after the sweeper", state: .expired, operation: Settling.commit(30),
            verdict: Settling.settled, becomes: .expired, change: .init(used: 30, overage: 30, blocks: true),
            booked: [.overage]),
        Settling(
            testDescription: "commit again after the sweeper", state: .expired, actual: 30,
            operation: Settling.commit(30), verdict: Settling.replayed, becomes: .expired),
        Settling(
            testDescription: "commit otherwise after the sweeper", state: .expired, actual: 30,
            operation: Settling.commit(31), verdict: Settling.conflict, becomes: .expired),
        Settling(
            testDescription: "commit again", state: .committed, actual: 30, operation: Settling.commit(30),
            verdict: Settling.replayed, becomes: .committed),
        Settling(
            testDescription: "commit otherwise", state: .committed, actual: 30, operation: Settling.commit(29),
            verdict: Settling.conflict, becomes: .committed),
        Settling(
            testDescription: "commit what was released", state: .released, operation: Settling.commit(30),
            verdict: Settling.conflict, becomes: .released),
        Settling(
            testDescription: "commit what was denied", state: .denied, operation: Settling.commit(30),
            verdict: Settling.conflict, becomes: .denied),
        Settling(
            testDescription: "release", operation: Settling.release, verdict: Settling.settled, becomes: .released,
            change: .init(reserved: -40), booked: [.release]),
        Settling(
            testDescription: "release past its time", isPast: true, operation: Settling.release,
            verdict: Settling.settled, becomes: .expired, change: .init(reserved: -40), booked: [.expire]),
        Settling(
            testDescription: "release again", state: .released, operation: Settling.release,
            verdict: Settling.replayed, becomes: .released),
        Settling(
            testDescription: "release what expired", state: .expired, operation: Settling.release,
            verdict: Settling.replayed, becomes: .expired),
        Settling(
            testDescription: "release what was used late", state: .expired, actual: 5, operation: Settling.release,
            verdict: Settling.conflict, becomes: .expired),
        Settling(
            testDescription: "release what was committed", state: .committed, actual: 5, operation: Settling.release,
            verdict: Settling.conflict, becomes: .committed),
        Settling(
            testDescription: "release what was denied", state: .denied, operation: Settling.release,
            verdict: Settling.conflict, becomes: .denied),
        Settling(
            testDescription: "expire", isPast: true, operation: Settling.expire, verdict: Settling.settled,
            becomes: .expired, change: .init(reserved: -40), booked: [.expire]),
        Settling(
            testDescription: "expire before its time", operation: Settling.expire, verdict: Settling.unknown,
            becomes: .pending),
        Settling(
            testDescription: "expire what was committed", state: .committed, actual: 5, isPast: true,
            operation: Settling.expire, verdict: Settling.unknown, becomes: .committed),
    ]

    @Test(arguments: settlings)
    func `a hold is settled once`(row: Settling) throws {
        var book = BudgetBook()
        let entry = Self.entry("r", state: row.state, actual: row.actual, isPast: row.isPast)
        let key = entry.reservation.key
        book.add([entry])
        book.add([Self.account(Self.project, used: 100, reserved: 40)])
        let verdict = book.decide(row.operation(key))
        #expect(verdict == row.verdict(key))
        let account = BudgetAccount.Key(tenant: Self.tenant, project: Self.project)
        #expect(book.accountChanges[account] == row.change)
        #expect(book.bookings.map(\.kind) == row.booked)
        #expect(book.entries[key]?.reservation.state == row.becomes)
        #expect(book.rewritten.isEmpty == (verdict != .settled(key)))
        let sums = book.bookings.reduce(into: (used: 0, reserved: 0)) { sums, booking in
            sums.used += booking.used
            sums.reserved += booking.reserved
        }
        #expect(sums.used == row.change?.used ?? 0 && sums.reserved == row.change?.reserved ?? 0)
    }

    @Test func `what fits is admitted in arrival order past what does not`() {
        var book = BudgetBook()
        let amounts = [60, 50, 40, 1]
        book.add(amounts.indices.map { Self.entry("r\($0)", amount: amounts[$0], isUndecided: true) })
        book.add([Self.account(Self.project, limit: 100)])
        let verdicts = amounts.indices.map { book.decide(.reserve(Self.request("r\($0)", amount: amounts[$0]))) }
        #expect(
            verdicts == [
                .reserved(Self.key("r0")), .denied(Self.key("r1"), isReplay: false), .reserved(Self.key("r2")),
                .denied(Self.key("r3"), isReplay: false),
            ])
        let denial = book.entries[Self.key("r3")]?.reservation.denial
        #expect(
            denial
                == BudgetDenial(reason: .exhausted, project: Self.project, totalLimit: 100, used: 0, reserved: 100))
        #expect(book.rewritten == [Self.key("r1"), Self.key("r3")])
    }

    @Test func `room given back in a batch is there for what comes after it`() {
        var book = BudgetBook()
        book.add([Self.entry("old", amount: 100), Self.entry("new", amount: 100, isUndecided: true)])
        book.add([Self.account(Self.project, limit: 100, reserved: 100)])
        #expect(book.decide(.release(Self.key("old"), principal: "u")) == .settled(Self.key("old")))
        #expect(book.decide(.reserve(Self.request("new", amount: 100))) == .reserved(Self.key("new")))
    }

    @Test func `a commit that overtakes its reservation finds none`() {
        var book = BudgetBook()
        book.add([Self.entry("r", isUndecided: true)])
        #expect(book.decide(.commit(Self.key("r"), actual: 1, principal: "u")) == .unknown)
        #expect(book.decide(.reserve(Self.request("r", amount: 40))) == .reserved(Self.key("r")))
        #expect(book.decide(.commit(Self.key("r"), actual: 1, principal: "u")) == .settled(Self.key("r")))
        #expect(book.decide(.reserve(Self.request("r", amount: 40))) == .replayed(Self.key("r")))
        #expect(book.decide(.reserve(Self.request("r", amount: 41))) == .mismatch)
    }

    @Test func `the tenant's account refuses what the project's would take`() {
        var book = BudgetBook()
        let both = [Self.project, BudgetAccount.tenantWide]
        book.add([
            Self.entry("r", amount: 40, accounts: both, isUndecided: true),
            Self.entry("s", amount: 10, accounts: both, isUndecided: true),
        ])
        book.add([
            Self.account(Self.project, limit: 1000), Self.account(BudgetAccount.tenantWide, limit: 100, used: 80),
        ])
        #expect(book.decide(.reserve(Self.request("r", amount: 40))) == .denied(Self.key("r"), isReplay: false))
        #expect(book.entries[Self.key("r")]?.reservation.denial?.project == BudgetAccount.tenantWide)
        #expect(book.accountChanges.isEmpty)
        #expect(book.decide(.reserve(Self.request("s", amount: 10))) == .reserved(Self.key("s")))
        #expect(book.accountChanges.values.allSatisfy { $0 == .init(reserved: 10) } && book.accountChanges.count == 2)
    }

    @Test func `an account opened after a hold counts its usage and not the hold`() {
        var book = BudgetBook()
        book.add([Self.entry("r", accounts: []), Self.entry("s")])
        book.add([Self.account(Self.project, createdAt: Self.start + 1)])
        for request in ["r", "s"] {
            #expect(
                book.decide(.commit(Self.key(request), actual: 30, principal: "u")) == .settled(Self.key(request)))
        }
        #expect(book.accountChanges.values.first == .init(used: 60))
    }

    @Test func `an overage blocks the narrowest account and is booked on both`() {
        var book = BudgetBook()
        book.add([
            Self.entry("r", accounts: [Self.project, BudgetAccount.tenantWide]),
            Self.entry("s", amount: 1, isUndecided: true),
        ])
        book.add([Self.account(Self.project, reserved: 40), Self.account(BudgetAccount.tenantWide, reserved: 40)])
        _ = book.decide(.commit(Self.key("r"), actual: 41, principal: "u"))
        #expect(book.accountChanges.values.filter(\.blocks).count == 1)
        #expect(book.accountChanges.values.allSatisfy { $0.overage == 1 && $0.used == 41 })
        #expect(book.decide(.reserve(Self.request("s", amount: 1))) == .denied(Self.key("s"), isReplay: false))
        #expect(book.entries[Self.key("s")]?.reservation.denial?.reason == .blocked)
    }

    @Test func `a hold that is split moves tokens and no sum`() {
        var book = BudgetBook()
        book.add([
            Self.entry("whole"), Self.entry("part", amount: 15, accounts: [], isUndecided: true),
            Self.entry("rest", amount: 25, isUndecided: true), Self.entry("alone", amount: 7, isUndecided: true),
        ])
        book.add([Self.account(Self.project, limit: 50, reserved: 40)])
        let whole = Self.key("whole")
        #expect(book.decide(.split(whole, Self.request("part", amount: 15))) == .reserved(Self.key("part")))
        #expect(book.accountChanges.values.allSatisfy { $0 == .init() })
        #expect(book.bookings.map(\.reserved) == [-15, 15])
        #expect(book.entries[whole]?.reservation.amount == 25)
        #expect(book.entries[Self.key("part")]?.reservation.accounts == [Self.project])
        #expect(book.decide(.split(whole, Self.request("rest", amount: 25))) == .mismatch, "Something must stay.")
        let orphan = BudgetBook.Operation.split(Self.key("nobody"), Self.request("alone", amount: 7))
        #expect(book.decide(orphan) == .reserved(Self.key("alone")))
        #expect(book.accountChanges.values.first == .init(reserved: 7))
        #expect(book.decide(.commit(Self.key("part"), actual: 10, principal: "u")) == .settled(Self.key("part")))
        #expect(book.decide(.commit(whole, actual: 25, principal: "u")) == .settled(whole))
        #expect(book.accountChanges.values.first == .init(used: 35, reserved: 7 - 40))
    }

    // MARK: Fixtures

    static func key(_ request: String) -> Reservation.Key {
        Reservation.Key(tenant: tenant, project: project, request: BudgetRequestID(request)!)
    }

    static func request(_ request: String, amount: Int) -> ReservationRequest {
        ReservationRequest(key: key(request), amount: amount, principal: "u")
    }

    static func entry(
        _ request: String, amount: Int = 40, state: Reservation.State = .pending, actual: Int? = nil,
        isPast: Bool = false, accounts: [ProjectID] = [project], isUndecided: Bool = false
    ) -> BudgetBook.Entry {
        BudgetBook.Entry(
            reservation: Reservation(
                key: key(request), principal: "u", task: nil, amount: amount, state: state, actual: actual,
                createdAt: start, expiresAt: start + 60, settledAt: state == .pending ? nil : start, accounts: accounts
            ),
            fingerprint: Self.request(request, amount: amount).fingerprint, seenAt: start + (isPast ? 60 : 59),
            isUndecided: isUndecided
        )
    }

    static func account(
        _ project: ProjectID, limit: Int = 1000, used: Int = 0, reserved: Int = 0, createdAt: Date = start - 1
    ) -> BudgetAccount {
        BudgetAccount(
            key: BudgetAccount.Key(tenant: tenant, project: project), totalLimit: limit, used: used,
            reserved: reserved, overage: 0, isBlocked: false, version: 1, createdAt: createdAt, updatedAt: createdAt
        )
    }
}
