import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `The lineage` {
    private static func event(_ number: Int) throws -> LineageEntry.Event {
        guard let version = Version("1.0.\(number)") else { throw TestFailure(description: "no version") }
        return LineageEntry.Event(
            atSeconds: 1_793_491_200 + number, environment: .dev, version: version, digests: [], kind: .cut,
            actor: "ann", reason: "number \(number)")
    }

    @Test func `two that append at once both get a place`() async throws {
        let folder = try temporaryFolder("lineage").path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    let book = LineageBook(store: FolderLineage(folder: folder))
                    for number in 0..<10 { try await book.record(try Self.event(writer * 10 + number)) }
                }
            }
            try await group.waitForAll()
        }
        let entries = try await LineageBook(store: FolderLineage(folder: folder)).entries()
        #expect(entries.map(\.sequence) == Array(0..<40))
        #expect(Set(entries.map(\.event.reason)).count == 40)
    }

    @Test func `a line that was cut off by a crash was never written`() async throws {
        let folder = try temporaryFolder("lineage").path
        let book = LineageBook(store: FolderLineage(folder: folder))
        try await book.record(try Self.event(1))
        let file = URL(filePath: folder + "/lineage.jsonl")
        let whole = try Data(contentsOf: file)
        try (whole + Data(#"{"sha256":"ab"#.utf8)).write(to: file)
        #expect(try await book.entries().count == 1)
        try await book.record(try Self.event(2))
        #expect(try await book.entries().map(\.event.reason) == ["number 1", "number 2"])
    }

    @Test func `helm's history is imported once`() async throws {
        let history = """
            [{"revision":3,"updated":"2026-11-01T10:11:12.123456789Z","status":"superseded","chart":"golden-1.2.0-rc.1",
              "app_version":"1.2.0-rc.1","description":"Upgrade complete"},
             {"revision":2,"updated":"2026-10-01T12:00:00+02:00","status":"superseded","chart":"my-golden-1.1.0",
              "app_version":"1.1.0","description":"Install complete"}]
            """
        let events = try HelmHistory.events(
            try JSON(parsing: history.utf8), environment: .prod, actor: "helm")
        #expect(events.map(\.version.description) == ["1.1.0", "1.2.0-rc.1"])
        #expect(events.map(\.revision) == ["2", "3"])
        #expect(events[0].atSeconds == 1_790_848_800 && events[1].reason == "helm: superseded; Upgrade complete")
        let bad = #expect(throws: GateError.self) {
            try HelmHistory.events(try JSON(parsing: #"[{"revision":1}]"#.utf8), environment: .prod, actor: "helm")
        }
        #expect(bad?.code == .invalid)

        let folder = try ReleaseFolder()
        try folder.write("helm.json", history)
        let path = folder.path
        for _ in 0..<2 { try await folder.gate { try await $0.importHelm(path + "/helm.json", environment: "prod") } }
        let entries = try await folder.gate { try await $0.book.entries() }
        #expect(entries.map(\.event.kind) == [.imported, .imported])
    }

    @Test func `a promotion of before its documents were listed is still read`() async throws {
        let book = LineageBook(store: FolderLineage(folder: try temporaryFolder("lineage").path))
        let plan = LineageDocument(.plan, Array(#"{"environment":"prod","train":{}}"#.utf8))
        let event = LineageEntry.Event(
            atSeconds: 1, environment: .prod, version: try #require(Version("1.0.0")), digests: [], kind: .promote,
            actor: "ann", reason: "from staging", evidenceSHA256: plan.sha256)
        try await book.record(event, naming: [plan])
        let checked = try await book.verify()
        #expect(checked.entries == 1 && checked.documents == 1)
    }

    @Test func `what was taken off its end shows by a checkpoint and by a certificate`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        #expect(try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) } == 0)
        try await folder.gate {
            try await $0.certificate(
                release, environment: "dev", keyFile: path + "/release", signer: "Release Manager", resources: [],
                out: path + "/certs")
        }
        let gate = try LineProcess.built("release-gate")
        func run(_ words: String) async throws -> Command.Outcome {
            try await blocking { try Command.run("sh", ["-c", "'\(gate)' \(words)"], folder: path) }
        }
        #expect(try await run("history --checkpoint release > checkpoint").status == 0)
        let verify = "verify --lineage --checkpoint checkpoint"
        #expect(try await run("\(verify) --key release.pub").status == 0)
        #expect(try await run(verify).status == 0, "gate.yaml trusts the key")
        let stranger = try await run("\(verify) --key build.pub")
        #expect(stranger.status == 2 && stranger.output.contains("has signed"), "\(stranger.output)")
        // The chain of what is left holds in itself.
        let lines = try folder.read("lineage/lineage.jsonl").split(separator: "\n")
        try folder.write("lineage/lineage.jsonl", lines.dropLast().joined(separator: "\n") + "\n")
        #expect(try await run("verify --lineage").status == 0)
        let cut = try await run("\(verify) --key release.pub")
        #expect(cut.status == 2 && cut.output.contains("commits to \(lines.count) entries"), "\(cut.output)")
        let error = await #expect(throws: GateError.self) {
            try await folder.gate {
                try await $0.promote(
                    release, from: "dev", to: "staging", approvals: nil, certificate: path + "/certs/certificate.json",
                    gitOps: nil)
            }
        }
        #expect(error?.code == .tampered && error?.message.contains("of \(lines.count) entries") == true)
    }

    @Test func `whatever was changed is refused by name`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        #expect(try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) } == 0)
        try await folder.gate { try await $0.verifyLineage() }
        let entries = try await folder.gate { try await $0.book.entries() }
        let decision = try #require(entries.first { $0.event.kind == .decision })
        let evidence = "\(path)/lineage/documents/\(try #require(decision.event.evidenceSHA256))"
        let policy = "\(path)/lineage/documents/\(try #require(decision.event.policySHA256))"
        for (file, name) in [
            (evidence, "The evidence of entry \(decision.sequence)"), (policy, "The policy of entry"),
            (path + "/lineage/lineage.jsonl", "entry"),
        ] {
            let whole = try Data(contentsOf: URL(filePath: file))
            let places = stride(from: 3, to: whole.count - 1, by: max(1, whole.count / 12))
            for place in places {
                try folder.damage(file, at: place)
                let error = await #expect(throws: GateError.self, "\(file) at \(place)") {
                    try await folder.gate { try await $0.verifyLineage() }
                }
                #expect(
                    error?.code == .tampered && error?.message.contains(name) == true,
                    "\(place): \(String(describing: error))")
                try whole.write(to: URL(filePath: file))
            }
        }
        try await folder.gate { try await $0.verifyLineage() }
    }
}
