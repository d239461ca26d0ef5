import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// What a seal vouches for: these very digests, and what was seen of them.
@Suite(.timeLimit(.minutes(10))) struct `A seal` {
    private static let version = "1.2.0-rc.1"
    /// Three steps after the walk began.
    private static let sealed = ReleaseFolder.start.addingTimeInterval(2 * 3600)

    /// Sealed in dev.
    private static func folder(steps: String = "stepSeconds: 1200") async throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.write("gate.yaml", try folder.read("gate.yaml").replacing("stepSeconds: 1200", with: steps))
        try await folder.gate { try await $0.cut(version: version, chart: path + "/chart", changelog: nil) }
        try folder.writeRelease(version)
        let release = try folder.release
        #expect(try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) } == 0)
        _ = try folder.commands()
        return folder
    }

    private static func certify(_ folder: ReleaseFolder) async throws {
        let (path, release) = (folder.path, try folder.release)
        try await folder.gate {
            try await $0.certificate(
                release, environment: "dev", keyFile: path + "/release", signer: "Release Manager", resources: [],
                out: path + "/certs")
        }
    }

    private static func reverify(_ folder: ReleaseFolder) async throws -> Int32 {
        let release = try folder.release
        return try await folder.gate { try await $0.reverify(release, environment: "dev", at: nil) }
    }

    private static func promote(_ folder: ReleaseFolder) async throws {
        try folder.writePreconditions()
        try folder.writeRelease(version, more: "preconditions: [preconditions.yaml]")
        let (path, release) = (folder.path, try folder.release)
        try await folder.gate {
            try await $0.promote(
                release, from: "dev", to: "staging", approvals: path + "/approvals",
                certificate: path + "/certs/certificate.json", gitOps: nil)
        }
    }

    /// Walks another version in dev, and puts the sealed one's `release.yaml` back.
    private static func walkNext(_ folder: ReleaseFolder) async throws -> Int32 {
        try folder.writeRelease("1.2.0-rc.2")
        let next = try folder.release
        let code = try await folder.gate { try await $0.canary(next, environment: "dev", isArmed: true) }
        try folder.writeRelease(version)
        return code
    }

    private static func events(_ folder: ReleaseFolder) async throws -> [LineageEntry.Event] {
        try await folder.gate { try await $0.book.entries().map(\.event) }
    }

    @Test func `is of its own images: what was rebuilt is not certified, verified or walked`() async throws {
        let folder = try await Self.folder()
        let image = try #require(try folder.release.train.cars.first?.image.sha256)
        let other = String(repeating: "7", count: 64)
        try folder.write("release.yaml", try folder.read("release.yaml").replacing(image, with: other))
        let rebuilt = try folder.release
        let before = try await Self.events(folder)
        let certified = await #expect(throws: GateError.self) { try await Self.certify(folder) }
        let verified = await #expect(throws: GateError.self) { try await Self.reverify(folder) }
        let walked = await #expect(throws: GateError.self) {
            try await folder.gate { try await $0.canary(rebuilt, environment: "dev", isArmed: true) }
        }
        for error in [certified, verified, walked] {
            let message = error?.message ?? ""
            #expect(error?.code == .refused, "\(message)")
            #expect(message.contains("other digests than release.yaml names: registry/ledger. "), "\(message)")
        }
        #expect(try await Self.events(folder) == before)
        #expect(try folder.commands().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/certs"))
    }

    @Test func `is verified by the stable side once there is no canary any more`() async throws {
        let folder = try await Self.folder()
        try folder.writeEvidence(canaryEnd: Self.sealed)
        folder.time.advance(by: 3600)
        #expect(try await Self.reverify(folder) == 0)
        #expect(try await Self.events(folder).last?.decision == .seal)
        try await Self.certify(folder)
        #expect(try folder.read("certs/certificate.txt").contains("✓ Post-Deployment:        VERIFIED"))
    }

    @Test func `is not verified by nothing`() async throws {
        let folder = try await Self.folder()
        folder.time.advance(by: TimeInterval(ReleaseFolder.hours * 3600))
        #expect(try await Self.reverify(folder) == 10)
        let events = try await Self.events(folder)
        #expect(events.last?.kind == .verification && events.last?.decision == .extend)
        try await Self.certify(folder)
        #expect(try folder.read("certs/certificate.txt").contains("? Post-Deployment:        UNVERIFIED"))
    }

    @Test func `has soaked by all that was seen since its walk began`() async throws {
        let folder = try await Self.folder()
        try await Self.certify(folder)
        // The last samples are of eight hours ago.
        folder.time.advance(by: 18 * 3600)
        try await Self.promote(folder)
        #expect(try await Self.events(folder).last?.kind == .promote)
    }

    @Test func `is not revoked for the canary of the version after it`() async throws {
        let folder = try await Self.folder()
        folder.time.advance(by: 3600)
        let begins = folder.time.clock.now()
        try folder.writeEvidence(badCanary: "ledger", from: begins)
        // Its processes crash, too, and their breaker is open.
        var history = try SampleHistory(json: try JSON(parsing: try folder.read("evidence.json").utf8))
        for minute in 0...120 {
            let at = begins.addingTimeInterval(TimeInterval(minute * 60))
            for (metric, value) in [
                ("up", 1.0), ("process_start_time_seconds", Double(minute)), ("circuit_breaker_state", 2.0),
            ] {
                history.add(metric, ["service": "ledger", "track": "canary"], SeriesSample(at: at, value: value))
            }
        }
        try folder.write("evidence.json", history.json.text)
        let gate = try folder.read("gate.yaml")
        try folder.write("gate.yaml", gate + "\nsignals: {breakers: circuit_breaker_state}\n")
        #expect(try await Self.walkNext(folder) == 20)
        folder.time.advance(by: 1200)
        #expect(try await Self.reverify(folder) == 0)
        let last = try await Self.events(folder).last
        #expect(last?.kind == .verification && last?.decision == .seal)
    }

    @Test func `has not soaked by what the version after it did once that was sealed`() async throws {
        let folder = try await Self.folder(steps: "steps: [100]\nstepSeconds: 600")
        try await Self.certify(folder)
        #expect(try await Self.walkNext(folder) == 0)
        folder.time.advance(by: 4 * 3600)
        let error = await #expect(throws: GateError.self) { try await Self.promote(folder) }
        let message = error?.message ?? ""
        #expect(message.contains("of 30 minutes with traffic and green objectives"), "\(message)")
    }

    @Test func `is verified again once the version after it was rolled back`() async throws {
        let folder = try await Self.folder()
        #expect(try await Self.walkNext(folder) == 0)
        try folder.writeRelease("1.2.0-rc.2")
        let next = try folder.release
        try await folder.gate {
            try await $0.rollback(next, environment: "dev", reason: "it is bad", isArmed: true)
        }
        try folder.writeRelease(Self.version)
        folder.time.advance(by: 3600)
        #expect(try await Self.reverify(folder) == 0)
        #expect(try await Self.events(folder).last?.kind == .verification)
    }

    /// The stable side alone, where one request in five fails between two moments.
    private static func writeStable(_ folder: ReleaseFolder, failingFrom from: Date, to: Date) throws {
        var history = SampleHistory()
        for service in ReleaseFolder.services {
            var (good, bad) = (0, 0)
            for minute in 0...(ReleaseFolder.hours * 60) {
                let at = ReleaseFolder.start.addingTimeInterval(TimeInterval(minute * 60))
                let fails = at > from && at <= to
                bad += fails ? 80 : 0
                good += fails ? 320 : 400
                for (status, count) in [("200", good), ("500", bad)] {
                    history.add(
                        "http_requests_total", ["service": service, "track": "stable", "status": status],
                        SeriesSample(at: at, value: Double(count)))
                }
            }
        }
        try folder.write("evidence.json", history.json.text)
    }

    @Test func `is not revoked for what the version after it did before it was rolled back`() async throws {
        let folder = try await Self.folder()
        #expect(try await Self.walkNext(folder) == 0)
        let began = folder.time.clock.now()
        folder.time.advance(by: 1800)
        try Self.writeStable(folder, failingFrom: began, to: folder.time.clock.now())
        try folder.writeRelease("1.2.0-rc.2")
        let next = try folder.release
        try await folder.gate {
            try await $0.rollback(next, environment: "dev", reason: "it is bad", isArmed: true)
        }
        try folder.writeRelease(Self.version)
        folder.time.advance(by: 600)
        _ = try await Self.reverify(folder)
        let last = try await Self.events(folder).last
        #expect(last?.kind == .verification, "\(String(describing: last))")
    }

    @Test func `is not revoked for a breaker that is half open`() async throws {
        let folder = try await Self.folder()
        folder.time.advance(by: 3600)
        var history = try SampleHistory(json: try JSON(parsing: try folder.read("evidence.json").utf8))
        for minute in (0...10).reversed() {
            history.add(
                "circuit_breaker_state", ["service": "ledger", "track": "canary", "name": "store"],
                SeriesSample(at: folder.time.clock.now().addingTimeInterval(TimeInterval(-60 * minute)), value: 1))
        }
        try folder.write("evidence.json", history.json.text)
        let gate = try folder.read("gate.yaml")
        try folder.write("gate.yaml", gate + "\nsignals: {breakers: circuit_breaker_state}\n")
        #expect(try await Self.reverify(folder) == 10)
        let last = try await Self.events(folder).last
        #expect(last?.kind == .verification && last?.decision == .hold, "\(String(describing: last))")
        try await Self.certify(folder)
        #expect(try folder.read("certs/certificate.txt").contains("? Post-Deployment:        UNVERIFIED"))
    }

    @Test func `is certified by what was shown of it when it was sealed`() async throws {
        let folder = try await Self.folder()
        let sealed = Int(Self.sealed.timeIntervalSince1970)
        let digests = try folder.release.train.artifacts.map { "{name: \"\($0.name)\", sha256: \"\($0.sha256)\"}" }
        let own = "[\(digests.joined(separator: ", "))]"
        func record(_ kind: String, _ result: String, hours: Int, digests: String, more: String = "") -> String {
            "{kind: \(kind), result: \(result), atSeconds: \(sealed - hours * 3600), digests: \(digests), "
                + "evidenceSHA256: \(String(repeating: "c", count: 64)), summary: done\(more)}"
        }
        try folder.write(
            "preconditions.yaml",
            [
                record("vulnerability_scan", "passed", hours: 48, digests: own),
                record("e2e_tests", "passed", hours: 1, digests: "[]"),
                record("backup", "passed", hours: 1, digests: "[]", more: ", environment: staging"),
                record("release_notes", "passed", hours: 5, digests: own),
                record("release_notes", "failed", hours: 1, digests: own),
                record("release_notes", "passed", hours: -1, digests: own),
            ].joined(separator: "\n---\n"))
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        try await Self.certify(folder)
        let text = try folder.read("certs/certificate.txt")
        for line in [
            "? Security & RBAC:        UNVERIFIED", "? Pre-Deployment:         UNVERIFIED",
            "? State Management:       UNVERIFIED", "✗ Documentation:          FAILED",
        ] { #expect(text.contains(line), "\(line)\n\(text)") }
    }

    @Test func `is not verified once another version is sealed there`() async throws {
        let folder = try await Self.folder()
        #expect(try await Self.walkNext(folder) == 0)
        let before = try await Self.events(folder)
        let error = await #expect(throws: GateError.self) { try await Self.reverify(folder) }
        let message = error?.message ?? ""
        #expect(error?.code == .refused, "\(message)")
        #expect(message.contains("1.2.0-rc.2 is sealed in dev since "), "\(message)")
        #expect(message.contains("is not of 1.2.0-rc.1. Nothing was recorded or revoked."), "\(message)")
        #expect(try await Self.events(folder) == before)
    }
}
