import Contracts
import Postgres
import Storage

/// Shorthand of the budget suites: one tenant, ids from text.
struct BudgetHarness: Sendable {
    static let tenant = TenantID(literal: "acme")

    let store: BudgetStore

    static func key(_ request: String, project: String = "alpha") -> Reservation.Key {
        Reservation.Key(tenant: tenant, project: ProjectID(project)!, request: BudgetRequestID(request)!)
    }

    static func account(_ project: String = "alpha") -> BudgetAccount.Key {
        BudgetAccount.Key(tenant: tenant, project: ProjectID(project)!)
    }

    func reserve(
        _ request: String, _ amount: Int, project: String = "alpha", seconds: Int = 600
    ) async throws -> ReserveOutcome {
        try await store.reserve(
            ReservationRequest(
                key: Self.key(request, project: project), amount: amount, timeToLiveSeconds: seconds,
                principal: "alice"
            ))
    }

    func commit(_ request: String, _ actual: Int, project: String = "alpha") async throws -> SettleOutcome {
        try await store.commit(Self.key(request, project: project), actual: actual, principal: "alice")
    }

    func release(_ request: String, project: String = "alpha") async throws -> SettleOutcome {
        try await store.release(Self.key(request, project: project), principal: "alice")
    }

    @discardableResult
    func setLimit(_ limit: Int, project: String = "alpha", version: Int? = nil) async throws -> LimitOutcome {
        try await store.setLimit(
            Self.account(project), totalLimit: limit, expectedVersion: version, principal: "admin")
    }

    /// Runs `body` over a store on a fresh database.
    static func with(
        _ body: (BudgetHarness, MigrationDatabase) async throws -> Void
    ) async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool in
            let store = BudgetStore(pool: pool)
            try await body(BudgetHarness(store: store), database)
            await store.shutdown()
        }
    }
}

extension ReserveOutcome {
    var isReserved: Bool { if case .reserved = self { true } else { false } }
    var isReplayed: Bool { if case .replayed = self { true } else { false } }
    var isDenied: Bool { if case .denied(_, _, isReplay: false) = self { true } else { false } }
    var isDeniedAgain: Bool { if case .denied(_, _, isReplay: true) = self { true } else { false } }
    var denial: BudgetDenial? { if case .denied(_, let denial, _) = self { denial } else { nil } }
    var reservation: Reservation? {
        switch self {
        case .reserved(let reservation), .replayed(let reservation), .denied(let reservation, _, _): reservation
        case .mismatch: nil
        }
    }
}

extension SettleOutcome {
    var isSettled: Bool { if case .settled = self { true } else { false } }
    var isReplayed: Bool { if case .replayed = self { true } else { false } }
    var isConflict: Bool { if case .conflict = self { true } else { false } }
    var reservation: Reservation? {
        switch self {
        case .settled(let reservation), .replayed(let reservation), .conflict(let reservation): reservation
        case .unknown: nil
        }
    }
}
