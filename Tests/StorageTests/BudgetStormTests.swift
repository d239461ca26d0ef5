import Contracts
import Foundation
import Postgres
import Storage
import Synchronization
import TestSupport
import Testing

/// Many callers at two replicas, each with connections of its own, on one Postgres.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Budget storms` {
    static let callers = 64

    @Test func `twenty thousand requests over two hundred ids with room for a hundred`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.withReplicas(database) { replicas in
            try await replicas[0].setLimit(1000)
            let tally = Tally()
            let samples = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<Self.callers {
                    group.addTask {
                        var random = SystemRandomNumberGenerator()
                        // 20,000 in all; every id comes up, whoever is first.
                        let count = 20_000 / Self.callers + (caller < 20_000 % Self.callers ? 1 : 0)
                        for _ in 0..<count {
                            let outcome = try await replicas[caller % 2].reserve("r\(tally.next(&random))", 10)
                            tally.count(outcome)
                        }
                        return 0
                    }
                }
                let sampler = Sampler(replicas: replicas)
                async let samples = sampler.run { #expect($0.used + $0.reserved <= $0.totalLimit) }
                try await group.waitForAll()
                sampler.stop()
                return try await samples
            }
            #expect(samples > 20, "\(samples) samples were taken")
            #expect(tally.snapshot == Tally.Counts(reserved: 100, denied: 100, replayed: 19_800, mismatched: 0))
            let rows = "SELECT state, count(*) FROM budget_reservations GROUP BY state ORDER BY state"
            #expect(try await database.sql(rows) == "denied|100\npending|100")
            #expect(try await database.sql("SELECT current_usage, reserved FROM budget_limits") == "0|1000")
            #expect(try await replicas[0].store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `one request from every caller at once is held once`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.withReplicas(database) { replicas in
            try await replicas[0].setLimit(10_000)
            for round in 0..<20 {
                let outcomes = try await withThrowingTaskGroup(of: ReserveOutcome.self) { group in
                    for caller in 0..<Self.callers {
                        group.addTask { try await replicas[caller % 2].reserve("round\(round)", 10) }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(outcomes.count(where: \.isReserved) == 1 && outcomes.count(where: \.isReplayed) == 63)
                #expect(Set(outcomes.map(\.reservation?.expiresAt)).count == 1)
            }
            #expect(try await database.sql("SELECT reserved FROM budget_limits") == "200")
        }
    }

    @Test func `an operator's UPDATE of all accounts is never given up for a batch`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await Self.withReplicas(database) { replicas in
            try await replicas[0].setLimit(100)
            try await replicas[0].setLimit(100, project: "all-projects")
            // In the order opposite to a batch's, and only once the batch waits in the middle.
            async let operation = database.sql(
                """
                DO $$ BEGIN
                    UPDATE budget_limits SET total_limit = 200 WHERE project_id = 'all-projects';
                    FOR turn IN 1..2000 LOOP
                        EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
                        PERFORM pg_sleep(0.005);
                    END LOOP;
                    UPDATE budget_limits SET total_limit = 200 WHERE project_id = 'alpha';
                END $$
                """
            )
            let ended = Flag()
            async let count = Self.reserve(on: replicas[0], until: ended)
            _ = try await operation
            ended.raise()
            let reserved = try await count
            #expect(reserved > 0)
            #expect(try await database.sql("SELECT DISTINCT total_limit FROM budget_limits") == "200")
            #expect(try await replicas[0].store.verify(tenant: nil).isEmpty)
        }
    }

    /// Reserves one after another, so that one of them meets whatever goes on; answers how many there were.
    static func reserve(on budget: BudgetHarness, until ended: Flag) async throws -> Int {
        var count = 0
        while !ended.isUp {
            let outcome = try await budget.reserve("r\(count)", 1)
            #expect(outcome.reservation != nil)
            count += 1
        }
        return count
    }

    static func withReplicas(
        _ database: MigrationDatabase, _ body: ([BudgetHarness]) async throws -> Void
    ) async throws {
        try await database.withPool { first in
            try await database.withPool { second in
                let stores = [BudgetStore(pool: first), BudgetStore(pool: second)]
                try await body(stores.map { BudgetHarness(store: $0) })
                for store in stores { await store.shutdown() }
            }
        }
    }
}

/// Raised once, by whoever ends a loop.
final class Flag: Sendable {
    private let state = Atomic(false)

    var isUp: Bool { state.load(ordering: .relaxed) }

    func raise() { state.store(true, ordering: .relaxed) }
}

/// Looks at the accounts over and over while a storm goes on.
final class Sampler: Sendable {
    private let replicas: [BudgetHarness]
    private let stopped = Flag()

    init(replicas: [BudgetHarness]) {
        self.replicas = replicas
    }

    func stop() { stopped.raise() }

    /// Answers how many samples were taken.
    func run(_ check: (BudgetAccount) -> Void) async throws -> Int {
        var count = 0
        while !stopped.isUp {
            for account in try await replicas[count % 2].store.accounts(of: BudgetHarness.tenant, limit: 10) {
                check(account)
            }
            count += 1
        }
        return count
    }
}

/// Counts what callers were answered.
final class Tally: Sendable {
    struct Counts: Equatable {
        var reserved = 0
        var denied = 0
        var replayed = 0
        var mismatched = 0
    }

    static let ids = 200
    private let counts = Mutex(Counts())
    private let asked = Atomic(0)

    /// Each id once at first, in turn; from then on any of them.
    func next(_ random: inout SystemRandomNumberGenerator) -> Int {
        let number = asked.wrappingAdd(1, ordering: .relaxed).oldValue
        return number < Self.ids ? number : Int.random(in: 0..<Self.ids, using: &random)
    }

    func count(_ outcome: ReserveOutcome) {
        counts.withLock { counts in
            switch outcome {
            case .reserved: counts.reserved += 1
            case .denied(_, _, isReplay: false): counts.denied += 1
            case .replayed, .denied(_, _, isReplay: true): counts.replayed += 1
            case .mismatch: counts.mismatched += 1
            }
        }
    }

    var snapshot: Counts { counts.withLock { $0 } }
}
