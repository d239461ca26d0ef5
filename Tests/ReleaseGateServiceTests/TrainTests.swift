import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// Five services go through dev, staging and production under one version, in virtual time.
@Suite(.timeLimit(.minutes(10))) struct `A release train` {
    private static let version = "1.2.0-rc.1"

    /// Walks the canary of an environment and certifies it.
    private func seal(_ folder: ReleaseFolder, _ environment: String) async throws {
        let release = try folder.release
        let path = folder.path
        let code = try await folder.gate { try await $0.canary(release, environment: environment, isArmed: true) }
        #expect(code == 0)
        try await folder.gate {
            try await $0.certificate(
                release, environment: environment, keyFile: path + "/release", signer: "Release Manager",
                resources: ["Deployments=5 (all)"], out: "\(path)/certs/\(environment)")
        }
    }

    private func promote(_ folder: ReleaseFolder, _ source: String, _ target: String) async throws {
        let release = try folder.release
        let path = folder.path
        try await folder.gate {
            try await $0.promote(
                release, from: source, to: target, approvals: path + "/approvals",
                certificate: "\(path)/certs/\(source)/certificate.json",
                gitOps: target == "prod" ? (path + "/argocd.yaml", path + "/promotion") : nil)
        }
    }

    private func refusal(_ body: () async throws -> Void) async throws -> String {
        let error = await #expect(throws: GateError.self) { try await body() }
        return error?.description ?? ""
    }

    /// Cut, and sealed in dev.
    private func inDev(_ folder: ReleaseFolder) async throws {
        let path = folder.path
        try await folder.gate { try await $0.cut(version: Self.version, chart: path + "/chart", changelog: nil) }
        try folder.writeRelease(Self.version)
        try await seal(folder, "dev")
    }

    @Test func `it goes through all environments and is closed`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try await inDev(folder)
        #expect(try folder.read("chart/Chart.yaml").contains("version: 1.2.0-rc.1\nappVersion: \"1.2.0-rc.1\""))
        #expect(try folder.read("chart/CHANGELOG.md").contains("## [1.2.0-rc.1] - "))
        let commands = try folder.commands()
        #expect(commands.prefix(5) == ReleaseFolder.services.map { "advance \($0) 50" }[...])
        #expect(commands.suffix(5) == ReleaseFolder.services.map { "promote \($0)" }[...])

        let bare = try await refusal { try await promote(folder, "dev", "staging") }
        #expect(bare.contains("e2e_tests: there is no report") && bare.contains("vulnerability_scan"))
        let skipped = try await refusal { try await promote(folder, "dev", "prod") }
        #expect(skipped.contains("dev to prod is closed: staging comes between"))

        try folder.writePreconditions()
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        try await promote(folder, "dev", "staging")
        try await seal(folder, "staging")

        let alone = try await refusal { try await promote(folder, "staging", "prod") }
        #expect(alone.contains("team_lead is missing") && alone.contains("sre is missing"))
        #expect(alone.contains("soak: "), "staging has soaked for too short a time")
        folder.time.advance(by: 80 * 60)
        let release = try folder.release
        for (name, role) in ReleaseFolder.approvers.prefix(2) {
            try await folder.gate {
                try await $0.approve(
                    release, environment: "prod", role: role, signer: name, keyFile: "\(path)/\(name)", validHours: 8,
                    out: "\(path)/approvals/\(name).json")
            }
        }
        try folder.write("argocd.yaml", "spec:\n  targetRevision: 1.1.0\n")
        try await promote(folder, "staging", "prod")
        #expect(try folder.read("promotion/draft") == "true\n")
        #expect(try folder.read("promotion/promotion.patch").contains("+  targetRevision: 1.2.0-rc.1\n"))
        #expect(try folder.read("promotion/pull-request.md").contains("sre"))
        try await seal(folder, "prod")

        let certificate = try folder.read("certs/prod/certificate.txt")
        for line in [
            "✓ Version Control:        VERIFIED", "✓ Promotion Gates:        PASSED",
            "✓ Security & RBAC:        ENFORCED", "✓ State Management:       BACKED UP",
            "? Post-Deployment:        UNVERIFIED", "Chart Version:  1.2.0-rc.1", "Deployments:   5 (all)",
            "CLOSURE INCOMPLETE",
        ] { #expect(certificate.contains(line), "\(line)\n\(certificate)") }
        let keys = [try ReleasePublicKey(file: path + "/release.pub")]
        let sealed = try SealedCertificate(file: path + "/certs/prod/certificate.json", keys: keys)
        #expect(sealed.seal.environment == .prod && sealed.seal.artifacts.count == 6)
        #expect(try folder.read("certs/prod/configmap.yaml").contains("name: release-certificate-v1.2.0-rc.1"))
        #expect(try await folder.gate { try await $0.replay(nil) })
        try await folder.gate { try await $0.verifyLineage() }
    }

    @Test func `a bad one is rolled back, who depends on others first, and its number is burned`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeEvidence(badCanary: "billing", from: ReleaseFolder.start.addingTimeInterval(3600))
        let skipped = try await refusal {
            try await folder.gate { try await $0.cut(version: "1.3.0", chart: path + "/chart", changelog: nil) }
        }
        #expect(skipped.contains("1.3.0 skips: after 1.1.0 comes 1.1.1, 1.2.0 or 2.0.0"))
        let small = try await refusal {
            try await folder.gate { try await $0.cut(version: "1.1.1", chart: path + "/chart", changelog: nil) }
        }
        #expect(small.contains("Added make a minor version, this is a patch one"))
        try await folder.gate { try await $0.cut(version: Self.version, chart: path + "/chart", changelog: nil) }
        try folder.writeRelease(Self.version)
        let release = try folder.release
        let code = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(code == 20)
        #expect(try folder.commands() == ReleaseFolder.services.reversed().map { "abort \($0)" })
        // Started again, nothing is done again.
        let again = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(again == 20)
        #expect(try folder.commands().isEmpty)
        try folder.write("chart/CHANGELOG.md", "## [Unreleased]\n\n### Added\n\n- Invoices.\n")
        let burned = try await refusal {
            try await folder.gate { try await $0.cut(version: Self.version, chart: path + "/chart", changelog: nil) }
        }
        #expect(burned.contains("1.2.0-rc.1 is burned: it was rolled back for"))
    }

    @Test func `numbers that were burned in between do not change what kind of release it is`() async throws {
        let folder = try ReleaseFolder()
        func refused(_ version: String, after previous: String) async throws -> String {
            try folder.writeRelease(version, previous: previous, more: "hotfix: true")
            let release = try folder.release
            return try await refusal {
                try await folder.gate {
                    try await $0.promote(
                        release, from: "dev", to: "prod", approvals: nil, certificate: nil, gitOps: nil)
                }
            }
        }
        let fix = try await refused("1.2.2", after: "1.2.0")
        #expect(fix.contains("dev holds no standing certificate"), "\(fix)")
        #expect(!fix.contains("only a patch version may skip staging"), "\(fix)")
        let major = try await refused("2.0.1", after: "1.9.0")
        #expect(major.contains("only a patch version may skip staging"), "\(major)")
        #expect(major.contains("volume_snapshot: there is no report"), "\(major)")
    }

    /// What stands against a promotion from staging to production, with nothing at all that speaks for it.
    private func obstacles(_ folder: ReleaseFolder) async throws -> String {
        let release = try folder.release
        return try await refusal {
            try await folder.gate {
                try await $0.promote(
                    release, from: "staging", to: "prod", approvals: nil, certificate: nil, gitOps: nil)
            }
        }
    }

    @Test func `it replaces what the lineage knows, whatever release.yaml says or leaves out`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        let history = #"{"revision":6,"updated":"2026-10-01T12:00:00Z","status":"deployed","chart":"golden-1.1.0"}"#
        try folder.write("helm.json", "[\(history)]")
        try await folder.gate { try await $0.importHelm(path + "/helm.json", environment: "prod") }
        try folder.writeRelease("2.0.0", previous: "2.0.0-rc.3")
        let candidate = try await obstacles(folder)
        #expect(candidate.contains("prod runs 1.1.0, previousVersion is 2.0.0-rc.3"), "\(candidate)")
        #expect(candidate.contains("volume_snapshot: there is no report"), "it is a major version\n\(candidate)")
        let lines = try folder.read("release.yaml").split(separator: "\n")
        try folder.write(
            "release.yaml", lines.filter { !$0.hasPrefix("previousVersion:") }.joined(separator: "\n"))
        let nothing = try await obstacles(folder)
        #expect(!nothing.contains("prod runs"), "the lineage knows\n\(nothing)")
        #expect(nothing.contains("volume_snapshot: there is no report"), "\(nothing)")
        try folder.writeRelease("1.1.1")
        let release = try folder.release
        let fix = try await obstacles(folder)
        #expect(!fix.contains("prod runs") && !fix.contains("volume_snapshot"), "\(fix)")
        // Promoted, and completed by a person: nobody sealed it.
        let promoted = LineageEntry.Event(
            atSeconds: Int(folder.time.clock.now().timeIntervalSince1970), environment: .prod,
            version: release.train.version, digests: release.train.digests, kind: .promote, actor: "ann",
            reason: "from staging")
        try await folder.gate { _ = try await $0.book.record(promoted) }
        try folder.writeRelease("1.2.0", previous: "1.1.1")
        let next = try await obstacles(folder)
        #expect(!next.contains("prod runs"), "\(next)")
    }

    @Test func `it goes nowhere once it was rolled back anywhere`() async throws {
        let folder = try ReleaseFolder()
        try await inDev(folder)
        let path = folder.path
        try folder.writePreconditions()
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        try await promote(folder, "dev", "staging")
        let release = try folder.release
        try await folder.gate {
            try await $0.rollback(release, environment: "staging", reason: "it is bad", isArmed: true)
        }
        let refused = try await refusal { try await promote(folder, "dev", "staging") }
        #expect(refused.contains("version_burned: 1.2.0-rc.1 is burned: it was rolled back for: it is bad"))
        #expect(!refused.contains("seal:"), "dev's still stands\n\(refused)")
        #expect(FileManager.default.fileExists(atPath: path + "/certs/dev/certificate.json"))
    }

    @Test func `what spoke for its promotion is held by the entry, each document by its hash`() async throws {
        let folder = try ReleaseFolder()
        try await inDev(folder)
        try folder.writePreconditions()
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        try await promote(folder, "dev", "staging")
        let entries = try await folder.gate { try await $0.book.entries() }
        let promotion = try #require(entries.last { $0.event.kind == .promote })
        let documents = folder.path + "/lineage/documents/"
        let bytes = try Data(contentsOf: URL(filePath: documents + (promotion.event.evidenceSHA256 ?? "")))
        let listed = try Canonical.decode(PromotionEvidence.self, from: bytes).documents
        #expect(Set(listed.map(\.kind)) == [.plan, .certificate, .attestation])
        try await folder.gate { try await $0.verifyLineage() }
        for kind in [LineageDocument.Kind.plan, .certificate, .attestation] {
            let item = try #require(listed.first { $0.kind == kind })
            let whole = try Data(contentsOf: URL(filePath: documents + item.sha256))
            try FileManager.default.removeItem(atPath: documents + item.sha256)
            let error = await #expect(throws: GateError.self) { try await folder.gate { try await $0.verifyLineage() } }
            let words = "The \(kind.rawValue) of entry \(promotion.sequence)"
            #expect(error?.code == .tampered && error?.message.contains(words) == true, "\(String(describing: error))")
            try whole.write(to: URL(filePath: documents + item.sha256))
        }
    }

    @Test func `a cut that was killed half way goes on, and is not made twice`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        @Sendable func cut() async throws {
            try await folder.gate { try await $0.cut(version: Self.version, chart: path + "/chart", changelog: nil) }
        }
        let (chart, changelog) = (try folder.read("chart/Chart.yaml"), try folder.read("chart/CHANGELOG.md"))
        try await cut()
        let moved = (try folder.read("chart/Chart.yaml"), try folder.read("chart/CHANGELOG.md"))
        for isChangelogMoved in [true, false] {
            try folder.write("chart/Chart.yaml", chart)
            if !isChangelogMoved { try folder.write("chart/CHANGELOG.md", changelog) }
            try await cut()
            #expect(try folder.read("chart/Chart.yaml") == moved.0)
            #expect(try folder.read("chart/CHANGELOG.md") == moved.1)
        }
        #expect(try await folder.gate { try await $0.book.entries().map(\.event.kind) } == [.cut])
        let again = await #expect(throws: GateError.self) { try await cut() }
        #expect(again?.code == .refused)
    }

    @Test func `a re-verification that fails takes the right to be promoted away`() async throws {
        let folder = try ReleaseFolder()
        try await inDev(folder)
        try folder.writePreconditions()
        try folder.writeRelease(Self.version, more: "preconditions: [preconditions.yaml]")
        folder.time.advance(by: 3600)
        let now = folder.time.clock.now()
        try folder.writeEvidence(badCanary: "orders", from: now.addingTimeInterval(-3600))
        let release = try folder.release
        let code = try await folder.gate { try await $0.reverify(release, environment: "dev", at: nil) }
        #expect(code == 20)
        let refused = try await refusal { try await promote(folder, "dev", "staging") }
        #expect(refused.contains("dev holds no standing certificate for 1.2.0-rc.1"))
    }
}
