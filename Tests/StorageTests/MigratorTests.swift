import Foundation
import Postgres
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Schema migrator` {
    @Test func `up, up again, down and up again leave the same schema`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.withMigrator { migrator in
            #expect(try await migrator.up().map(\.version) == MigrationDatabase.versions)
            let first = try await SchemaSnapshot.text(of: database)
            #expect(try await migrator.up().isEmpty)
            #expect(try await migrator.down(to: 0).map(\.version) == MigrationDatabase.versions.reversed())
            let left = try await SchemaSnapshot.text(of: database)
            #expect(!left.contains("tasks") && !left.contains("function"), "Left behind:\n\(left)")
            #expect(try await migrator.up().map(\.version) == MigrationDatabase.versions)
            #expect(try await SchemaSnapshot.text(of: database) == first)
        }
    }

    @Test func `each step down can be gone up again`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.withMigrator { migrator in
            try await migrator.up()
            let whole = try await SchemaSnapshot.text(of: database)
            for steps in MigrationDatabase.versions {
                #expect(try await migrator.down(steps: steps).count == steps)
                #expect(try await migrator.up().count == steps)
                #expect(try await SchemaSnapshot.text(of: database) == whole)
            }
            #expect(try await migrator.down(steps: 100).count == MigrationDatabase.files.count)
        }
    }

    @Test func `the status tells pending from applied`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.withMigrator { migrator in
            #expect(try await migrator.status().allSatisfy { !$0.isApplied })
            #expect(try await migrator.up(to: 2).map(\.name) == ["initial_schema", "peer_review"])
            let status = try await migrator.status()
            #expect(status.filter(\.isApplied).map(\.version) == [1, 2])
            #expect(status.map(\.version) == MigrationDatabase.versions)
            guard case .applied(let at) = status[0].state else { Issue.record("\(status[0])"); return }
            #expect(abs(at.timeIntervalSinceNow) < 3600)
        }
    }

    @Test func `a target that does not exist is refused`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.withMigrator { migrator in
            for target in [0, MigrationDatabase.files.count + 1, -1] {
                #expect(await code { try await migrator.up(to: target) } == .targetInvalid)
            }
            #expect(await code { try await migrator.down(to: 2) } == .targetInvalid)
            #expect(await code { try await migrator.down(to: -1) } == .targetInvalid)
            #expect(await code { try await migrator.down(steps: 0) } == .targetInvalid)
        }
    }

    @Test func `replicas that start together apply each migration once`() async throws {
        let database = try await MigrationDatabase.empty()
        let applied = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 1...6 {
                group.addTask { try await database.withMigrator { try await $0.up().count } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(applied.sorted() == [0, 0, 0, 0, 0, MigrationDatabase.files.count])
        #expect(try await database.sql("SELECT count(*) FROM schema_migrations") == "\(MigrationDatabase.files.count)")
    }

    @Test func `waiting for another migrator is bounded`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.withPool { pool in
            let folder = MigrationDatabase.folder
            let impatient = Migrator(pool: pool, folder: folder, lockTimeout: .milliseconds(300))
            let migrator = Migrator(pool: pool, folder: folder)
            try await pool.withSessionLock(Migrator.lockKey) {
                #expect(await code { try await impatient.up() } == .locked)
                let status = try await migrator.status()
                #expect(!status.contains { $0.isApplied })
            }
            #expect(try await migrator.up().count == MigrationDatabase.files.count)
        }
    }

    @Test func `files that psql ran are adopted with their checksums`() async throws {
        let database = try await MigrationDatabase.empty()
        #expect(try await database.run(file: "001_initial_schema.sql").status == 0)
        #expect(try await database.sql("SELECT checksum IS NULL FROM schema_migrations") == "t")
        try await database.withMigrator { migrator in
            let before = try await migrator.status()
            #expect(before.filter(\.isApplied).map(\.version) == [1])
            #expect(try await migrator.up().map(\.version) == Array(MigrationDatabase.versions.dropFirst()))
        }
        let adopted = try await database.sql("SELECT count(checksum) FROM schema_migrations")
        #expect(adopted == "\(MigrationDatabase.files.count)")
    }

    @Test func `a file changed after it was applied is named and nothing moves`() async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try await database.withMigrator(copy.path) { migrator in
            try await migrator.up(to: 2)
            let file = copy.folder.appending(path: "002_peer_review.sql")
            let text = try String(contentsOf: file, encoding: .utf8)
            try copy.write("002_peer_review.sql", "-- Improved.\n" + text)
            for move in [{ try await migrator.up() }, { try await migrator.down() }] {
                let error = await failure(move)
                #expect(error?.code == .checksumMismatch)
                #expect(error?.message.contains("002_peer_review.sql") == true)
                #expect(error?.message.contains("new migration") == true)
            }
            let status = try await migrator.status()
            #expect(status.map(\.isApplied) == [true, true, false])
            guard case .changed = status[1].state else { Issue.record("\(status[1])"); return }
        }
    }

    @Test func `a database ahead of the files is left alone`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("INSERT INTO schema_migrations (version, name) VALUES (999, 'from_a_newer_build')")
        try await database.withMigrator { migrator in
            #expect(await code { try await migrator.up() } == .historyUnknown)
            #expect(await code { try await migrator.down() } == .historyUnknown)
            let last = try #require(try await migrator.status().last)
            #expect(last.version == 999 && last.isApplied)
            guard case .unknown = last.state else { Issue.record("\(last)"); return }
        }
    }

    @Test func `a gap in the history is refused`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.sql("DELETE FROM schema_migrations WHERE version = 2")
        try await database.withMigrator { migrator in
            #expect(await code { try await migrator.up() } == .historyUnknown)
        }
    }
}

/// What a call fails with; nil when it does not, or with something else, which is recorded.
func failure<R>(_ body: () async throws -> R) async -> MigrationError? {
    do {
        _ = try await body()
        return nil
    } catch let error as MigrationError {
        return error
    } catch {
        Issue.record("\(error)")
        return nil
    }
}

func code<R>(_ body: () async throws -> R) async -> MigrationError.Code? { await failure(body)?.code }
