import Foundation
import Postgres
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Migrations that go wrong` {
    @Test func `a refused file leaves nothing behind and those before it stay`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "broken", up: "CREATE TABLE half (id int);\nINSERT INTO half VALUES (1);\nSELECT 1 / 0;")
        try await database.withMigrator(copy.path) { migrator in
            let error = await failure { try await migrator.up() }
            #expect(error?.code == .failed)
            #expect(error?.message.contains("004_broken.sql") == true)
            #expect((error?.underlying as? PostgresError)?.sqlState == "22012")
            #expect(try await migrator.status().map(\.isApplied) == [true, true, true, false])
            #expect(try await database.sql("SELECT to_regclass('half') IS NULL") == "t")
            try copy.add(4, "broken", up: "CREATE TABLE half (id int);", down: "DROP TABLE half;")
            #expect(try await migrator.up().map(\.version) == [4])
            #expect(try await migrator.down().map(\.version) == [4])
            #expect(try await database.sql("SELECT to_regclass('half') IS NULL") == "t")
        }
    }

    @Test func `a refused way back leaves everything in place`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "sticky", up: "CREATE TABLE kept (id int);", down: "DROP TABLE kept; DROP TABLE nowhere;")
        try await database.withMigrator(copy.path) { migrator in
            try await migrator.up()
            let error = await failure { try await migrator.down() }
            #expect(error?.code == .failed)
            #expect(error?.message.contains("down/004_sticky.sql") == true)
            #expect(try await migrator.status().allSatisfy(\.isApplied))
            #expect(try await database.sql("SELECT to_regclass('kept') IS NOT NULL") == "t")
        }
    }

    @Test func `a file that does not record itself is reported`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "forgetful", up: "CREATE TABLE forgotten (id int);", records: false)
        try await database.withMigrator(copy.path) { migrator in
            let error = await failure { try await migrator.up() }
            #expect(error?.code == .notRecorded)
            #expect(error?.message.contains("004_forgetful.sql") == true)
        }
    }

    @Test func `a file whose connection is cut leaves nothing behind and runs again`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "slow", up: "CREATE TABLE slow (id int);\nSELECT pg_sleep(600);")
        try await database.withMigrator(copy.path) { migrator in
            async let failed = failure { try await migrator.up() }
            let isCut = try await eventually { try await database.sql(cut(database)) == "t" }
            try #require(isCut)
            let error = await failed
            #expect(error?.code == .failed || error?.code == .outcomeUnknown, "\(String(describing: error))")
            #expect(try await migrator.status().map(\.isApplied) == [true, true, true, false])
            #expect(try await database.sql("SELECT to_regclass('slow') IS NULL") == "t")
            try copy.add(4, "slow", up: "CREATE TABLE slow (id int);")
            #expect(try await migrator.up().map(\.version) == [4])
        }
    }

    @Test func `a migrator that loses the lock stops its file`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "slow", up: "CREATE TABLE slow (id int);\nSELECT pg_sleep(600);")
        try await database.withMigrator(copy.path) { migrator in
            async let failed = failure { try await migrator.up() }
            let isSleeping = try await eventually { try await database.sql(sleeping(database)) == "1" }
            try #require(isSleeping)
            try await database.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
                    + "WHERE locktype = 'advisory' AND datname = '\(database.name)'"
            )
            #expect(await failed?.code == .database)
            #expect(try await database.sql(sleeping(database)) == "0")
            #expect(try await migrator.status().last?.isApplied == false)
        }
    }

    @Test func `a cancelled migrator stops its file`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try copy.add(4, "slow", up: "CREATE TABLE slow (id int);\nSELECT pg_sleep(600);")
        try await database.withMigrator(copy.path) { migrator in
            let running = Task { try await migrator.up() }
            defer { running.cancel() }
            let isSleeping = try await eventually { try await database.sql(sleeping(database)) == "1" }
            try #require(isSleeping)
            running.cancel()
            await #expect(throws: CancellationError.self) { try await running.value }
            #expect(try await database.sql(sleeping(database)) == "0")
            #expect(try await database.sql("SELECT to_regclass('slow') IS NULL") == "t")
        }
    }

    private func sleeping(_ database: MigrationDatabase) -> String {
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database.name)' AND wait_event = 'PgSleep'"
    }

    private func cut(_ database: MigrationDatabase) -> String {
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            + "WHERE datname = '\(database.name)' AND wait_event = 'PgSleep'"
    }
}
