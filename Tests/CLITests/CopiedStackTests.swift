import Foundation
import TestSupport
import Testing

@testable import golden

/// Data folders that are copied, moved or another account's; the services are stand-ins.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `A data folder that was copied` {
    /// The program on a copy of the stack's folder. Of one that runs, files may vanish while it is copied.
    private func copied(
        _ golden: Golden, _ folder: StackFolder
    ) async throws -> (golden: Golden, folder: StackFolder) {
        let place = StackFolder("\(folder.path)-copy")
        _ = await Tool.run(["cp", "-a", folder.path, place.path], environment: ["PATH": "/usr/bin:/bin"])
        guard place.exists else { throw Golden.Failed(description: "\(place.path) holds no record") }
        var copy = golden
        copy.environment["GOLDEN_DATA"] = place.path
        return (copy, place)
    }

    @Test func `a copy of a running stack does nothing to that stack`() async throws {
        try await Golden.withStack("copied") { golden in
            try await golden.execute("CREATE TABLE kept (words text)")
            let record = try golden.record()
            let copy = try await copied(golden, golden.folder)
            #expect(try await copy.golden.run("status").output.contains("stopped"))
            // Its database was copied while it was in use, so that it may well fail.
            try await copy.golden.run("up", "--detach", "--port", "0")
            let down = try await copy.golden.run("down", "--delete")
            #expect(down.status == 0, "\(down.errors)")
            #expect(!FileManager.default.fileExists(atPath: copy.folder.path))
            #expect(try golden.record() == record)
            #expect(try await golden.run("status").status == 0)
            #expect(try await golden.execute("SELECT count(*) FROM kept") == "0")
        }
    }

    @Test func `a copy of a stopped stack is a second one, with a name and stores of its own`() async throws {
        try await Golden.withStack("second") { golden in
            try await golden.execute("CREATE TABLE kept (words text)")
            let first = try golden.record()
            try await golden.run("down")
            let copy = try await copied(golden, golden.folder)
            let up = try await copy.golden.run("up", "--detach")
            #expect(up.status == 0 && up.errors.contains("is a copy"), "\(up.errors)")
            let second = try #require(try StackRecord.load(from: copy.folder))
            #expect(second.id != first.id && second.ports.postgres != first.ports.postgres)
            #expect(second.ports.api == first.ports.api, "whoever only put it back finds it where it was")
            try await copy.golden.run("down")
            let again = try await copy.golden.run("up", "--detach", "--port", "0")
            #expect(again.status == 0 && !again.errors.contains("is a copy"), "\(again.errors)")
            #expect(try await golden.run("up", "--detach").status == 0)
            #expect(try golden.record().ports == first.ports)
            #expect(try await golden.execute("SELECT count(*) FROM kept", in: copy.folder) == "0")
            #expect(try await copy.golden.run("down", "--delete").status == 0)
            #expect(try await golden.run("status").status == 0)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root has databases that lie elsewhere"))
    func `a copy never touches a database that lies elsewhere, and one that is gone is an error`() async throws {
        var golden = try Golden("copied-hidden")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: golden.folder.path)
        let folder = StackFolder("\(golden.folder.path)/inner")
        golden.environment = ["GOLDEN_DATA": folder.path]
        let up = try await golden.run("up", "--detach", "--port", "0")
        #expect(up.status == 0, "\(up.errors)")
        let record = try #require(try StackRecord.load(from: folder))
        #expect(record.postgresFolder.hasPrefix("\(PostgresPlace.fallbackRoot)/"))

        let copy = try await copied(golden, folder)
        let refused = try await copy.golden.run("up", "--detach", "--port", "0")
        #expect(refused.status == 1 && refused.errors.contains("is a copy"), "\(refused.errors)")
        #expect(try await copy.golden.run("down", "--delete").status == 0)
        #expect(try StackRecord.load(from: folder) == record)
        #expect(try await golden.run("status").status == 0)

        // Moved, it is the same stack, whatever begins where it was.
        #expect(try await golden.run("down").status == 0)
        try FileManager.default.moveItem(atPath: folder.path, toPath: copy.folder.path)
        #expect(try await golden.run("up", "--detach", "--port", "0").status == 0)
        let moved = try await copy.golden.run("up", "--detach", "--port", "0")
        #expect(moved.status == 0, "\(moved.errors)")
        #expect(try StackRecord.load(from: copy.folder)?.postgresFolder == record.postgresFolder)
        #expect(try await copy.golden.run("down").status == 0)
        #expect(try await golden.run("down", "--delete").status == 0)

        try StackFolder.remove(record.postgresFolder)
        let gone = try await copy.golden.run("up", "--detach")
        #expect(gone.status == 1 && gone.errors.contains("is gone"), "\(gone.errors)")
        #expect(try await copy.golden.run("down", "--delete").status == 0)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"), arguments: ["stack.json", "secrets.json"])
    func `another account's stack is left alone`(file: String) async throws {
        let golden = try Golden("others")
        let place = "\(golden.folder.path)/\(file)"
        try StackFolder.write("{}", to: place)
        #expect(chown(place, 1, 1) == 0)
        let commands = [["up", "--detach", "--port", "0"], ["up", "--port", "0"], ["down", "--delete"], ["upgrade"]]
        for command in commands {
            let refused = try await golden.run(command)
            #expect(refused.status == 1 && refused.errors.contains("belongs to daemon"), "\(refused.errors)")
            #expect(refused.errors.contains("sudo -u daemon golden"))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: golden.folder.path) == [file])
        #expect(readSmallFile(place) == "{}")
    }

    @Test func `a record is of its folder wherever that is moved, and of no copy`() throws {
        let folder = try Scratch.folder("home")
        var record = StackRecord.sample(supervisor: ProcessIdentity.current)
        record.home = FolderIdentity(of: folder.path)
        try record.save(to: folder)
        #expect(try StackRecord.load(from: folder) == record)

        let copy = StackFolder("\(folder.path)-copy")
        try FileManager.default.copyItem(atPath: folder.path, toPath: copy.path)
        #expect(try StackRecord.load(from: copy) == record.stopped())
        let moved = StackFolder("\(folder.path)-moved")
        try FileManager.default.moveItem(atPath: folder.path, toPath: moved.path)
        #expect(try StackRecord.load(from: moved) == record)

        // A build that did not write the folder down is believed.
        record.home = nil
        try record.save(to: copy)
        #expect(try StackRecord.load(from: copy) == record)
    }
}
