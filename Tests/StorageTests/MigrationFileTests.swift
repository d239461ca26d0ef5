import Foundation
import Storage
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Migration files` {
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: MigrationError.Code
        let names: String
        let make: @Sendable (MigrationCopy) throws -> Void
    }

    static let sound = "BEGIN;\nSELECT 1;\nCOMMIT;\n"

    static let faults = [
        Fault(testDescription: "gap", code: .fileInvalid, names: "005_gap.sql") {
            try $0.write("005_gap.sql", sound)
        },
        Fault(testDescription: "number used twice", code: .fileInvalid, names: "003_twice.sql") {
            try $0.write("003_twice.sql", sound)
        },
        Fault(testDescription: "no number", code: .fileInvalid, names: "extra.sql") {
            try $0.write("extra.sql", sound)
        },
        Fault(testDescription: "short number", code: .fileInvalid, names: "4_short.sql") {
            try $0.write("4_short.sql", sound)
        },
        Fault(testDescription: "strange name", code: .fileInvalid, names: "004_a b.sql") {
            try $0.write("004_a b.sql", sound)
        },
        Fault(testDescription: "no way back", code: .folderUnreadable, names: "down/004_oneway.sql") {
            try $0.write("004_oneway.sql", sound)
        },
        Fault(testDescription: "no transaction", code: .fileInvalid, names: "004_loose.sql") {
            try $0.write("004_loose.sql", "SELECT 1;\n")
            try $0.write("down/004_loose.sql", sound)
        },
        Fault(testDescription: "no commit on the way back", code: .fileInvalid, names: "down/004_loose.sql") {
            try $0.write("004_loose.sql", sound)
            try $0.write("down/004_loose.sql", "BEGIN;\nSELECT 1;\n")
        },
        Fault(testDescription: "psql's own command", code: .fileInvalid, names: "\\i other.sql") {
            try $0.write("004_include.sql", "BEGIN;\n\\i other.sql\nCOMMIT;\n")
            try $0.write("down/004_include.sql", sound)
        },
    ]

    @Test(arguments: faults)
    func `a faulty folder is refused before anything runs`(fault: Fault) async throws {
        let database = try await MigrationDatabase.empty()
        let copy = try MigrationCopy()
        try fault.make(copy)
        try await database.withMigrator(copy.path) { migrator in
            for call in [{ _ = try await migrator.up() }, { _ = try await migrator.status() }] {
                let error = await failure(call)
                #expect(error?.code == fault.code)
                #expect(error?.message.contains(fault.names) == true, "\(String(describing: error))")
            }
        }
        #expect(try await database.sql("SELECT to_regclass('schema_migrations') IS NULL") == "t")
    }

    @Test func `a folder that is missing or empty is refused`() async throws {
        let database = try await MigrationDatabase.empty()
        #expect(await code { try await database.withMigrator("/nowhere") { try await $0.up() } } == .folderUnreadable)
        let copy = try MigrationCopy([])
        #expect(await code { try await database.withMigrator(copy.path) { try await $0.up() } } == .fileInvalid)
    }

    @Test func `psql runs every file twice up and twice down`() async throws {
        let database = try await MigrationDatabase.empty()
        let files = MigrationDatabase.files
        for file in files + files {
            let run = try await database.run(file: file)
            #expect(run.status == 0, "\(run.output)")
        }
        let again = try await database.run(file: files[0])
        #expect(again.output.contains("Migration 001 is applied already; nothing was changed."))
        let early = try await database.run(file: "down/\(files[0])")
        let last = "Migration \(files.last?.prefix(3) ?? "") is still applied"
        #expect(early.status != 0 && early.output.contains(last), "\(early.output)")
        for file in files.reversed().flatMap({ [$0, $0] }) {
            let run = try await database.run(file: "down/\(file)")
            #expect(run.status == 0, "\(run.output)")
        }
        #expect(try await database.sql("SELECT count(*) FROM schema_migrations") == "0")
        let late = try await database.run(file: files[2])
        #expect(late.status != 0 && late.output.contains("Migration 003 builds on 002"), "\(late.output)")
    }

    @Test func `no superuser is needed`() async throws {
        let database = try await MigrationDatabase.empty()
        try await database.sql("CREATE ROLE plain; GRANT CREATE ON SCHEMA public TO plain")
        for file in MigrationDatabase.files + MigrationDatabase.files.reversed().map({ "down/\($0)" }) {
            let run = try await database.run(file: file, options: "-c role=plain")
            #expect(run.status == 0, "\(run.output)")
        }
    }
}
