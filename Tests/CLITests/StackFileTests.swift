import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `The data folder` {
    @Test func `the record comes back as it was written`() throws {
        let folder = try Scratch.folder("record")
        let record = StackRecord.sample(supervisor: ProcessIdentity(pid: 5, startTicks: 7))
        try record.save(to: folder)
        #expect(try StackRecord.load(from: folder) == record)
        #expect(try StackRecord.load(from: StackFolder("\(folder.path)/none")) == nil)
    }

    @Test(arguments: ["", "{", "{\"v\":2}", "{\"v\":1,\"id\":\"x\",\"state\":\"asleep\"}"])
    func `a damaged record is named, not guessed`(text: String) throws {
        let folder = try Scratch.folder("damaged")
        try StackFolder.write(text, to: folder.record)
        let error = #expect(throws: CLIError.self) { try StackRecord.load(from: folder) }
        #expect(error?.code == .fileUnreadable && error?.message.contains("stack.json") == true)
    }

    @Test func `secrets are private, long and each their own`() throws {
        let folder = try Scratch.folder("secrets")
        let secrets = StackSecrets.generate()
        try secrets.save(to: folder)
        #expect(try StackSecrets.load(from: folder) == secrets)
        let all = [secrets.postgres, secrets.postgresAdmin, secrets.nats, secrets.redis, secrets.jwt]
        #expect(Set(all).count == 5)
        #expect(all.allSatisfy { $0.count == 64 && $0.allSatisfy(\.isHexDigit) })
        #expect(try mode(folder.secrets) == 0o600)
        #expect(try mode(folder.path) == 0o700)
    }

    @Test func `what --env gave a stack comes back for its other commands, and is private`() throws {
        let folder = try Scratch.folder("environment")
        #expect(try StackEnvironment.load(from: folder) == nil)
        let environment = ["GOLDEN_NATS_STORAGE": "2GiB", "A \"b\"": "c=d\n", "EMPTY": ""]
        try StackEnvironment.save(environment, to: folder)
        #expect(try StackEnvironment.load(from: folder) == environment)
        #expect(try mode(folder.environment) == 0o600)
        try StackFolder.write("{", to: folder.environment)
        #expect(throws: CLIError.self) { try StackEnvironment.load(from: folder) }
        try folder.delete()
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test func `a folder that holds other things is not taken over, nor is a stack's own ever closed to its database`()
        throws
    {
        let foreign = StackFolder(try temporaryFolder("cli-foreign").path)
        try StackFolder.write("mine", to: "\(foreign.path)/notes.txt")
        let error = #expect(throws: CLIError.self) { try foreign.create() }
        #expect(error?.code == .folderUnusable)
        #expect(try mode(foreign.path) == 0o755)
        let folder = try Scratch.folder("open")
        try StackRecord.sample(supervisor: nil).save(to: folder)
        try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: folder.path)
        try folder.create()
        #expect(try mode(folder.path) == 0o711)
    }

    @Test(
        arguments: [
            ("/a/b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/", "/"), ("/../a", "/a"),
        ]
    )
    func `paths have one spelling`(given: String, path: String) {
        #expect(StackFolder(given).path == path)
    }

    @Test func `deleting takes what the stack wrote and nothing else`() throws {
        let folder = try Scratch.folder("delete")
        try StackRecord.sample(supervisor: nil).save(to: folder)
        try StackFolder.write("mine", to: "\(folder.path)/notes.txt")
        try folder.delete()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["notes.txt"])
        try StackFolder.remove("\(folder.path)/notes.txt")
        try folder.create()
        try folder.delete()
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test func `a database elsewhere than below the fallback folder is never removed`() throws {
        let folder = try Scratch.folder("fallback")
        try PostgresPlace.deleteFallback(folder.path, of: folder)
        try PostgresPlace.deleteFallback("\(PostgresPlace.fallbackRoot)/../../\(folder.path)", of: folder)
        #expect(FileManager.default.fileExists(atPath: folder.path))
    }

    @Test func `one lock for one folder, and it can be taken again after its holder is gone`() throws {
        let path = try Scratch.folder("lock").lock
        func hold() throws -> Bool {
            let first = try FolderLock.acquire(path)
            let second = try FolderLock.acquire(path)
            let isRefused = second == nil
            return first != nil && isRefused
        }
        #expect(try hold())
        #expect(try hold())
    }

    @Test func `connection strings hold passwords only when asked to`() {
        let secrets = StackSecrets(postgres: "p", postgresAdmin: "a", nats: "n", redis: "r", jwt: "j")
        let ports = StackRecord.Ports(api: 1, nats: 2, redis: 3, postgres: 4)
        let open = StoreAddresses(ports: ports, secrets: secrets)
        #expect(open.postgres == "postgresql://golden:p@127.0.0.1:4/golden")
        #expect(open.nats == "nats://golden:n@127.0.0.1:2")
        #expect(open.redis == "redis://:r@127.0.0.1:3/0")
        let closed = StoreAddresses(ports: ports, secrets: nil)
        #expect(closed.postgres == "postgresql://golden@127.0.0.1:4/golden")
        #expect(closed.redis == "redis://127.0.0.1:3/0")
    }

    @Test func `a log beyond its limit is kept once and emptied in place`() throws {
        let folder = try Scratch.folder("logs")
        let path = folder.log(of: "x")
        try Data(String(repeating: "line\n", count: 100).utf8).write(to: URL(filePath: path))
        let writer = try FileHandle(forWritingTo: URL(filePath: path))
        LogFiles(paths: [path], bytesMax: 1000).rotate()
        #expect(try String(contentsOfFile: path, encoding: .utf8).count == 500, "still below the limit")
        LogFiles(paths: [path], bytesMax: 400).rotate()
        #expect(try Data(contentsOf: URL(filePath: path)).isEmpty)
        #expect(try String(contentsOfFile: "\(path).1", encoding: .utf8).count == 500)
        try writer.write(contentsOf: Data("next\n".utf8))
        #expect(LogFiles.tail(path).hasSuffix("next"))
    }

    @Test func `paths in variables are the caller's, for programs that run elsewhere`() throws {
        let here = FileManager.default.currentDirectoryPath
        #expect(try Sibling.migrations(environment: ["GOLDEN_MIGRATIONS": "migrations"]) == "\(here)/migrations")
        #expect(try Sibling.k8s(environment: ["GOLDEN_K8S": "k8s"]) == "\(here)/k8s")
        let error = #expect(throws: CLIError.self) {
            try Sibling.path("orchestrator", environment: ["GOLDEN_BIN": "no/such"])
        }
        #expect(error?.message.contains("looked in \(here)/no/such)") == true)
        let plan = StackPlan(
            options: StackOptions(folder: StackFolder("/d")),
            ports: StackRecord.Ports(api: 1, nats: 2, redis: 3, postgres: 4), secrets: .generate(),
            postgresFolder: "/d/postgres", caller: ["GOLDEN_SANDBOX_FOLDER": "sandbox"], isRoot: false
        )
        #expect(plan.baseEnvironment["GOLDEN_SANDBOX_FOLDER"] == "\(here)/sandbox")
    }

    @Test func `a folder without migrations is no folder of migrations to the doctor`() async throws {
        let folder = try Scratch.folder("doctor")
        func finding(_ path: String) async -> Doctor.Finding? {
            await Doctor(folder: folder, environment: ["GOLDEN_MIGRATIONS": path]).examine()
                .first { $0.name == "migrations" }
        }
        #expect(await finding(folder.path)?.isFine == false)
        try StackFolder.write("", to: "\(folder.path)/\(Sibling.firstMigration)")
        #expect(await finding(folder.path)?.isFine == true)
    }

    @Test func `free ports are free, in a row and not those already taken`() throws {
        let first = try Ports.free(3, notIn: [])
        #expect((first..<first + 3).allSatisfy(Ports.isFree))
        #expect(try Ports.free(notIn: [first]) != first)
        #expect(!Ports.accepts(first))
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? NSNumber).intValue
    }
}
