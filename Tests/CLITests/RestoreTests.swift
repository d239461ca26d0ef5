import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// Backups of an embedded stack with its real database; the services are stand-ins.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Backing up and restoring` {
    /// A stack with 2000 rows that is backed up, given one more, and stopped.
    private func withBackup(
        _ name: String, at place: (Golden) -> String, _ body: (Golden, _ backup: String) async throws -> Void
    ) async throws {
        try await Golden.withStack(name) { golden in
            let backup = place(golden)
            try await golden.execute("CREATE TABLE kept (words text)")
            try await golden.execute("INSERT INTO kept SELECT md5(n::text) FROM generate_series(1, 2000) n")
            let taken = try await golden.run("backup", backup)
            #expect(taken.status == 0, "\(taken.errors)")
            try await golden.execute("INSERT INTO kept VALUES ('later')")
            try await golden.run("down")
            try await body(golden, backup)
        }
    }

    private func count(_ golden: Golden) async throws -> String {
        let up = try await golden.run("up", "--detach")
        guard up.status == 0 else { throw Golden.Failed(description: "up: \(up.errors)") }
        return try await golden.execute("SELECT count(*) FROM kept")
    }

    @Test func `a backup in the data folder takes the stack's place there, and nothing else in it goes`() async throws {
        try await withBackup("restore", at: { "\($0.folder.path)/backups/monday" }) { golden, backup in
            let notes = "\(golden.folder.path)/notes.txt"
            try StackFolder.write("mine", to: notes)
            let refused = try await golden.run("restore", backup)
            #expect(refused.status == 1 && refused.errors.contains("--replace"))
            let restored = try await golden.run("restore", backup, "--replace")
            #expect(restored.status == 0, "\(restored.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(golden.folder.nats)/jetstream"))
            let left = try FileManager.default.contentsOfDirectory(atPath: golden.folder.postgresLink)
            #expect(Set(left) == ["data", "initialised"])
            #expect(try await count(golden) == "2000")
            #expect(readSmallFile(notes) == "mine")
            #expect(try StackSettings.load(from: golden.folder) != nil, "what it was started with stays")
            // And once more, of the stack that was restored.
            try await golden.run("down")
            #expect(try await golden.run("restore", backup, "--replace").status == 0)
            #expect(try await count(golden) == "2000")
            try StackFolder.remove(notes)
            try StackFolder.remove("\(golden.folder.path)/backups")
        }
    }

    @Test func `a restore takes the port for later, whoever has it now`() async throws {
        try await withBackup("beside", at: { "\($0.folder.path)-backup" }) { golden, backup in
            let listener = try Listener()
            var other = golden
            let folder = StackFolder("\(golden.folder.path)-other")
            other.environment["GOLDEN_DATA"] = folder.path
            let restored = try await other.run("restore", backup, "--port", "\(listener.port)")
            #expect(restored.status == 0, "\(restored.errors)")
            #expect(try StackRecord.load(from: folder)?.ports.api == listener.port)
            let taken = try await other.run("up", "--detach")
            #expect(taken.status == 1 && taken.errors.contains("Port \(listener.port) is taken"), "\(taken.errors)")
            let up = try await other.run("up", "--detach", "--port", "0")
            #expect(up.status == 0, "\(up.errors)")
            #expect(try await golden.execute("SELECT count(*) FROM kept", in: folder) == "2000")
            #expect(try await other.run("down", "--delete").status == 0)
        }
    }

    @Test func `a backup that cannot be read to its end leaves the stack as it was`() async throws {
        try await withBackup("truncated", at: { "\($0.folder.path)-backup" }) { golden, backup in
            let dump = "\(backup)/database.dump"
            let whole = try Data(contentsOf: URL(filePath: dump))
            for bytes in [whole.count - 1000, 100] {
                try whole.prefix(bytes).write(to: URL(filePath: dump))
                let failed = try await golden.run("restore", backup, "--replace")
                #expect(failed.status == 1 && failed.errors.contains("is as it was"), "\(failed.errors)")
                #expect(try await count(golden) == "2001")
                try await golden.run("down")

                var other = golden
                other.environment["GOLDEN_DATA"] = "\(golden.folder.path)-other"
                let none = try await other.run("restore", backup, "--port", "0")
                #expect(none.status == 1 && none.errors.contains("No stack was made"), "\(none.errors)")
                let folder = StackFolder("\(golden.folder.path)-other")
                #expect(!folder.holdsStack && !FileManager.default.fileExists(atPath: folder.nats))
            }
        }
    }

    @Test func `a backup among the stack's own files is refused before anything is changed`() async throws {
        try await withBackup("inside", at: { "\($0.folder.logs)/backup" }) { golden, backup in
            for place in [backup, golden.folder.path] {
                for name in ["database.dump", "backup.json"] where place != backup {
                    try FileManager.default.copyItem(atPath: "\(backup)/\(name)", toPath: "\(place)/\(name)")
                }
                let refused = try await golden.run("restore", place, "--replace")
                #expect(refused.status == 1 && refused.errors.contains("Nothing was changed."), "\(refused.errors)")
            }
            #expect(try await count(golden) == "2001")
            for name in ["database.dump", "backup.json"] { try StackFolder.remove("\(golden.folder.path)/\(name)") }
        }
    }

    @Test func `a backup is private, in a folder that was open before as well`() async throws {
        let place = try temporaryFolder("backup").path
        try await withBackup("private", at: { _ in place }) { _, backup in
            for name in ["database.dump", "secrets.json", "backup.json"] {
                let attributes = try FileManager.default.attributesOfItem(atPath: "\(backup)/\(name)")
                let mode = try #require(attributes[.posixPermissions] as? NSNumber)
                #expect(mode.intValue == 0o600, "\(name)")
            }
        }
    }
}
