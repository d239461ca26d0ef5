import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// Going back by hand, and what others learn of it.
@Suite(.timeLimit(.minutes(10))) struct `A rollback by hand` {
    private func refusal(_ folder: ReleaseFolder, reason: String) async throws -> GateError? {
        let release = try folder.release
        return await #expect(throws: GateError.self) {
            try await folder.gate {
                try await $0.rollback(release, environment: "prod", reason: reason, isArmed: true)
            }
        }
    }

    @Test func `needs a reason and a way back`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        #expect(try await refusal(folder, reason: "oops")?.code == .invalid)
        try folder.writeRelease("1.2.0-rc.1", more: "schema: past_contract")
        #expect(try await refusal(folder, reason: "customers see empty invoices")?.code == .refused)
        #expect(try folder.commands().isEmpty)
        #expect(try await folder.gate { try await $0.book.entries() }.isEmpty)
    }

    @Test func `goes back in the reverse of the dependencies, is recorded, and burns the number`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try await folder.gate { try await $0.cut(version: "1.2.0-rc.1", chart: path + "/chart", changelog: nil) }
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        let reason = "customers see empty invoices"
        try await folder.gate {
            try await $0.rollback(release, environment: "prod", reason: reason, isArmed: false)
        }
        #expect(try folder.commands().isEmpty)
        try await folder.gate {
            try await $0.rollback(release, environment: "prod", reason: reason, isArmed: true)
        }
        #expect(try folder.commands() == ReleaseFolder.services.reversed().map { "rollback \($0) \(reason)" })
        let entries = try await folder.gate { try await $0.book.entries() }
        #expect(entries.map(\.event.kind) == [.cut, .rollback, .intent, .rollback])
        let last = try #require(entries.last?.event)
        #expect(last.environment == .prod && last.revision == "7" && last.reason.hasPrefix(reason))
        #expect(last.digests == release.train.digests)
        try folder.write("chart/CHANGELOG.md", "## [Unreleased]\n\n### Added\n\n- Invoices.\n")
        let burned = await #expect(throws: GateError.self) {
            try await folder.gate { try await $0.cut(version: "1.2.0-rc.1", chart: path + "/chart", changelog: nil) }
        }
        #expect(burned?.message.contains("burned") == true)
    }

    @Test(arguments: [true, false])
    func `is looked at afterwards, and what was found is recorded`(isInOrder: Bool) async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        let words =
            isInOrder ? "[\(path)/kubectl, verify, \"{service}\"]" : "[/bin/sh, -c, \"echo 3 pods wait; exit 4\"]"
        try folder.write(
            "gate.yaml", try folder.read("gate.yaml").replacing("adapters:\n", with: "adapters:\n  verify: \(words)\n"))
        let release = try folder.release
        @Sendable func rollback() async throws {
            try await folder.gate {
                try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
            }
        }
        let back = Array(ReleaseFolder.services.reversed())
        if isInOrder {
            try await rollback()
            #expect(try folder.commands() == back.map { "rollback \($0) it is bad" } + back.map { "verify \($0)" })
        } else {
            let error = await #expect(throws: GateError.self) { try await rollback() }
            #expect(error?.code == .adapterFailed)
        }
        let entries = try await folder.gate { try await $0.book.entries() }
        #expect(entries.map(\.event.kind) == [.intent, .rollback, .verification])
        let last = try #require(entries.last?.event)
        #expect(last.decision == (isInOrder ? .rollBack : .hold))
        let reason =
            isInOrder ? "after the rollback: what runs is ready and works" : "after the rollback, not in order: "
        #expect(last.reason.hasPrefix(reason), "\(last.reason)")
    }

    /// What a person completed in dev nobody promoted there, and nobody sealed it.
    @Test func `leads to what release.yaml names where nobody records promotions`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.3", previous: "1.2.0-rc.2")
        try folder.write(
            "gate.yaml",
            try folder.read("gate.yaml").replacing(
                #"rollback, "{service}", "{reason}"]"#, with: #"back, "{previousVersion}"]"#))
        let release = try folder.release
        let sealed = LineageEntry.Event(
            atSeconds: 0, environment: .dev, version: try #require(Version("1.2.0-rc.1")), digests: [], kind: .seal,
            actor: "ann", reason: "proven good")
        try await folder.gate { _ = try await $0.book.record(sealed) }
        try await folder.gate {
            try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
        }
        let commands = try folder.commands()
        #expect(commands == ["back 1.2.0-rc.2"])
    }

    @Test func `by decision is looked at, too`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeEvidence(badCanary: "billing", from: ReleaseFolder.start.addingTimeInterval(3600))
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write(
            "gate.yaml",
            try folder.read("gate.yaml").replacing(
                "adapters:\n", with: "adapters:\n  verify: [\(path)/kubectl, verify, \"{digest}\"]\n"))
        let release = try folder.release
        let code = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(code == 20)
        #expect(try folder.commands().last == "verify sha256:\(try #require(release.train.cars.last).image.sha256)")
        let entries = try await folder.gate { try await $0.book.entries() }
        #expect(entries.suffix(2).map(\.event.kind) == [.rollback, .verification])
    }

    @Test func `what is uninstalled stays in the lineage`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write(
            "gate.yaml",
            try folder.read("gate.yaml").replacing(
                "adapters:\n", with: "adapters:\n  uninstall: [\(path)/kubectl, uninstall, \"{release}\"]\n"))
        let release = try folder.release
        try await folder.gate {
            try await $0.uninstall(release, environment: "dev", reason: "given up for good", isArmed: true)
        }
        #expect(try folder.commands() == ["uninstall golden"])
        let entries = try await folder.gate { try await $0.book.entries() }
        #expect(entries.map(\.event.kind) == [.intent, .uninstall])
        #expect(entries.last?.event.reason == "given up for good")
    }

    /// A receiver that keeps what it is sent.
    private static let receiver = """
        import http.server, sys
        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with open(sys.argv[2], "ab") as file: file.write(body + b"\\n")
                self.send_response(204); self.end_headers()
        http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
        """

    @Test func `people are told, and nothing waits for them`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        let port = freePort()
        let receiver = ServerProcess(
            "/usr/bin/python3", ["-c", Self.receiver, "\(port)", path + "/told"],
            logFile: URL(filePath: path + "/log"))
        try await blocking { try receiver.start(within: .seconds(30)) { accepts(port: port) } }
        func rollback() async throws -> Command.Outcome {
            try await blocking {
                try Command.run(
                    try LineProcess.built("release-gate"), ["rollback", "--env", "prod", "--reason", "it is bad"],
                    environment: [
                        "GOLDEN_GATE_NOTIFY": "http://127.0.0.1:\(port)/hook?key=hidden", "GOLDEN_GATE_ACTOR": "ann",
                    ], folder: path)
            }
        }
        #expect(try await rollback().status == 0)
        let told = try JSON(parsing: try folder.read("told").utf8)
        func field(_ name: String) -> String? { told.fields?.first { $0.name == name }?.value.string }
        #expect(field("event") == "rollback" && field("environment") == "prod" && field("actor") == "ann")
        #expect(field("text")?.hasPrefix("rollback of 1.2.0-rc.1 in prod by ann: it is bad") == true)
        receiver.kill()
        let alone = try await rollback()
        #expect(alone.status == 0 && alone.output.contains("Nobody was told"), "\(alone.output)")
        #expect(!alone.output.contains("hidden"))
        let words = "Nothing was run. 1.2.0-rc.1 in prod is recorded as rolled back by hand, and its number is burned."
        #expect(alone.output.contains(words), "\(alone.output)")
        #expect(try await folder.gate { try await $0.book.entries() }.count == 2)
    }
}

/// What runs, against what was promoted.
@Suite(.timeLimit(.minutes(10))) struct `Drift` {
    private static func pods(_ images: [(service: String, digest: String)]) -> String {
        let items = images.map { image in
            """
            {"metadata":{"labels":{"app.kubernetes.io/component":"\(image.service)"}},
             "status":{"containerStatuses":[{"imageID":"docker-pullable://registry/x@\(image.digest)"}]}}
            """
        }
        return "{\"kind\":\"List\",\"items\":[\(items.joined(separator: ","))]}"
    }

    @Test func `is nothing while each pod runs what was promoted, and is named otherwise`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        let good = release.train.cars.flatMap { car in
            [(car.service, "sha256:\(car.image.sha256)"), (car.service, "sha256:\(car.image.sha256)")]
        }
        @Sendable func drift(_ images: [(String, String)]) throws -> Command.Outcome {
            try folder.write("pods.json", Self.pods(images))
            return try Command.run(
                try LineProcess.built("release-gate"), ["drift", "--running", "pods.json"], folder: path)
        }
        let none = try await blocking { try drift(good) }
        #expect(none.status == 0 && none.output.contains("5 services run what was promoted"), "\(none.output)")
        let other = "sha256:" + String(repeating: "7", count: 64)
        let mixed = try await blocking { try drift(good.dropLast() + [("front", other)]) }
        #expect(mixed.status == 10 && mixed.output.contains("front runs several images"), "\(mixed.output)")
        let wrong = try await blocking { try drift(good.dropFirst(2) + [("ledger", other)]) }
        #expect(wrong.status == 10 && wrong.output.contains("ledger runs 7777"), "\(wrong.output)")
        let gone = try await blocking { try drift(Array(good.dropFirst(2))) }
        #expect(gone.status == 10 && gone.output.contains("ledger does not run"), "\(gone.output)")
        try folder.write("pods.json", "[]")
        let nonsense = try await blocking {
            try Command.run(try LineProcess.built("release-gate"), ["drift", "--running", "pods.json"], folder: path)
        }
        #expect(nonsense.status == 2)
    }
}
