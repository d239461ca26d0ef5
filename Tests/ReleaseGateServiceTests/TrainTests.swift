import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// Five services go through dev, staging and production under one version, in virtual time.
@Suite struct `A release train` {
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
