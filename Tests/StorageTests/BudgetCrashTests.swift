import Contracts
import Foundation
import Postgres
import Storage
import TestSupport
import Testing

/// Money while connections are cut and the server is killed.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Budget crashes` {
    static let workers = 32
    static let operationsEach = 150
    static let projects = ["alpha", "beta", "all-projects"]

    @Test func `a storm of everything with kills leaves ledger, holds and accounts agreeing`() async throws {
        let server = try await TestPostgres.started()
        let database = MigrationDatabase(server: server, name: try await server.freshDatabase())
        for file in MigrationDatabase.files { try await database.run(file: file).check() }
        try await `Budget storms`.withReplicas(database) { replicas in
            try await replicas[0].setLimit(3000, project: "all-projects")
            try await replicas[0].setLimit(1500)
            let (steps, progress) = AsyncStream.makeStream(of: Void.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await withThrowingTaskGroup(of: Void.self) { workers in
                        for worker in 0..<Self.workers {
                            workers.addTask {
                                try await Self.work(as: worker, on: replicas[worker % 2]) { progress.yield() }
                            }
                        }
                        try await workers.waitForAll()
                    }
                    progress.finish()
                }
                group.addTask { try await Self.disturb(database, replicas, steps) }
                try await group.waitForAll()
            }
            #expect(try await replicas[0].store.verify(tenant: nil).isEmpty)
            let ended = "SELECT string_agg(DISTINCT state, ' ') FROM budget_reservations WHERE state <> 'pending'"
            let states = try await database.sql(ended)
            #expect(states == "committed denied expired released", "Every way a reservation ends has come up.")
            try await database.sql("UPDATE budget_reservations SET expires_at = now() WHERE state = 'pending'")
            while try await replicas[0].store.sweepExpired(limit: 500, principal: "sweeper") > 0 {}
            #expect(try await database.sql("SELECT sum(reserved) FROM budget_limits") == "0")
            #expect(try await replicas[0].store.verify(tenant: nil).isEmpty)
        }
    }

    /// Reserves and settles at random; of errors only those that say the database was away are met with the next try.
    static func work(as worker: Int, on budget: BudgetHarness, step: () -> Void) async throws {
        for number in 0..<operationsEach {
            // Ids are shared by two neighbours, so that they repeat and settle each other's; some are left to expire.
            let id = "r\((worker / 2) * 1000 + number)"
            let project = projects[number % 3]
            do {
                let outcome = try await budget.reserve(id, 20 + number % 5, project: project)
                #expect(outcome != .mismatch)
                switch (worker + number) % 8 {
                case 0: _ = try await budget.release(id, project: project)
                case 1: _ = try await budget.commit(id, 23, project: project)
                case 2, 3: _ = try await budget.commit(id, number % 20, project: project)
                default: break
                }
            } catch let error as PostgresError {
                #expect(isAbsence(error), "\(error)")
            }
            step()
        }
    }

    static func isAbsence(_ error: PostgresError) -> Bool {
        [.connectFailed, .connectionLost, .outcomeUnknown, .poolExhausted].contains(error.code)
    }

    /// At every 200th step something happens to the server, or an operator does something.
    static func disturb(
        _ database: MigrationDatabase, _ replicas: [BudgetHarness], _ steps: AsyncStream<Void>
    ) async throws {
        var count = 0
        for await _ in steps {
            count += 1
            switch (count % 200, count / 200) {
            case (0, 5), (0, 11), (0, 17):
                try await database.server.crash()
                try await database.server.start()
            case (0, _):
                try await database.sql(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE application_name = 'storage-tests' AND random() < 0.5
                    """
                )
                try await database.sql("UPDATE budget_limits SET total_limit = total_limit + 500")
                try await database.sql(
                    "UPDATE budget_reservations SET expires_at = now() WHERE state = 'pending' AND random() < 0.1")
                await sweep(replicas[0])
            case (100, _): try await check(database)
            default: break
            }
        }
    }

    static func sweep(_ budget: BudgetHarness) async {
        do {
            _ = try await budget.store.sweepExpired(limit: 20, principal: "sweeper")
        } catch {
            // The next sweep will do; what it may not do is damage, which the end shows.
            #expect((error as? PostgresError).map(isAbsence) == true, "\(error)")
        }
    }

    /// One statement each, and so one moment: what was admitted fits. Overage was admitted by nobody.
    static func check(_ database: MigrationDatabase) async throws {
        let broken = "SELECT count(*) FROM budget_limits WHERE current_usage - overage + reserved > total_limit"
        #expect(try await database.sql(broken) == "0")
    }
}
