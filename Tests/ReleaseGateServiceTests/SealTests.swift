import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// What a seal vouches for: these very digests, and what was seen of them.
@Suite struct `A seal` {
    private static let version = "1.2.0-rc.1"
    /// Three steps after the walk began.
    private static let sealed = ReleaseFolder.start.addingTimeInterval(2 * 3600)

    /// Sealed in dev.
    private static func folder() async throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        let path = folder.path
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
        try folder.writePreconditions()
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        let (path, release) = (folder.path, try folder.release)
        try await folder.gate {
            try await $0.promote(
                release, from: "dev", to: "staging", approvals: path + "/approvals",
                certificate: path + "/certs/certificate.json", gitOps: nil)
        }
        #expect(try await Self.events(folder).last?.kind == .promote)
    }
}
