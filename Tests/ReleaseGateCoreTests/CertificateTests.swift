import Contracts
import ReleaseGateCore
import Testing

@Suite struct `The closure certificate` {
    private static let hash = String(repeating: "c", count: 64)

    private static func statement(
        _ evidence: [CertificateStatement.Evidence]
    ) throws -> CertificateStatement {
        CertificateStatement(
            chartName: "golden", version: try #require(Version("1.2.0")), appVersion: "1.2.0", environment: .prod,
            namespace: "golden-architecture", revision: "7", sealedSeconds: 1_795_885_500,
            subjects: [try #require(ArtifactDigest(name: "chart", sha256: hash))], evidence: evidence,
            resources: [.init(kind: "Deployments", summary: "5 (orchestrator, peer-hub)")], lineageSize: 12,
            lineageRootSHA256: hash, decisionSHA256: hash, policySHA256: hash, signer: "release-gate")
    }

    private static func evidence(_ sha256: String = hash, holds: Bool = true) -> [CertificateStatement.Evidence] {
        CertificateStatement.Heading.allCases.map { heading in
            .init(heading: heading, name: "\(heading.rawValue)-report", sha256: sha256, holds: holds)
        }
    }

    @Test func `says of ten things what was shown`() throws {
        let text = try Self.statement(Self.evidence()).text
        for line in [
            "✓ Version Control:        VERIFIED", "✓ Lineage Preservation:   ARCHIVED",
            "✓ Promotion Gates:        PASSED", "✓ Security & RBAC:        ENFORCED",
            "✓ State Management:       BACKED UP", "✓ Rollout Strategy:       CONFIGURED",
            "✓ Pre-Deployment:         VALIDATED", "✓ Post-Deployment:        VERIFIED",
            "✓ Monitoring:             ACTIVE", "✓ Documentation:          COMPLETE",
            "Chart Name:     golden", "Chart Version:  1.2.0", "Namespace:      golden-architecture",
            "Revision:       7", "Deployments:   5 (orchestrator, peer-hub)",
            "Release Date:   November 28, 2026 at 17:05:00 UTC",
            "             LINEAGE PRESERVED · CLOSURE COMPLETE",
        ] { #expect(text.split(separator: "\n").contains(Substring(line)), "\(line) is not in:\n\(text)") }
    }

    @Test func `cannot say that anything passed without evidence`() throws {
        for evidence in [[], Self.evidence("no digest"), Self.evidence(holds: false)] {
            let statement = try Self.statement(evidence)
            let all = statement.text + String(decoding: statement.closure(), as: UTF8.self)
            let summary = String(decoding: statement.verificationSummary(version: "1"), as: UTF8.self)
            for word in ["PASSED", "VERIFIED\n", "COMPLETE\n", "ENFORCED", "BACKED UP", "✓", #""VERIFIED""#] {
                // UNVERIFIED ends as VERIFIED does.
                let found = all.replacing("UNVERIFIED", with: "-").replacing("INCOMPLETE", with: "-").contains(word)
                #expect(!found, "\(word)")
            }
            #expect(summary.contains(#""verificationResult":"FAILED""#))
            #expect(!statement.isPassed)
        }
    }

    @Test func `leaves nine standing when the tenth is unverified`() throws {
        let statement = try Self.statement(Self.evidence().filter { $0.heading != .monitoring })
        #expect(statement.statuses.filter { $0.verdict == .holds }.count == 9)
        #expect(statement.text.contains("? Monitoring:             UNVERIFIED"))
        #expect(statement.text.contains("Closure:     Open: Monitoring"))
    }

    @Test func `is an in-toto statement, always the same bytes`() throws {
        let statement = try Self.statement(Self.evidence())
        let closure = try JSON(parsing: statement.closure())
        #expect(closure.canonical == statement.closure())
        var reader = try JSONReader(closure)
        #expect(try reader.string("_type") == "https://in-toto.io/Statement/v1")
        #expect(try reader.string("predicateType") == CertificateStatement.closureType)
        let subject = try #require(try reader.optionalObjects("subject", atMost: 1)?.first)
        var named = subject
        #expect(try named.string("name") == "chart")
        var predicate = try #require(try reader.optionalObject("predicate"))
        #expect(try predicate.optionalArray("statuses")?.count == 10)
        let summary = String(decoding: statement.verificationSummary(version: "1"), as: UTF8.self)
        #expect(summary.contains(#""verificationResult":"PASSED""#))
        #expect(summary.contains(#""timeVerified":"2026-11-28T17:05:00Z""#))
        let again = try Canonical.decode(CertificateStatement.self, from: Canonical.bytes(statement))
        #expect(again.closure() == statement.closure())
    }

    @Test func `is kept as a manifest whose text is the certificate`() throws {
        let statement = try Self.statement(Self.evidence())
        let manifest = statement.configMap
        #expect(manifest.contains("name: release-certificate-v1.2.0\n"))
        let body = manifest.split(separator: "  certificate: |\n")[1].split(
            separator: "\n", omittingEmptySubsequences: false)
        let text = body.map { $0.hasPrefix("    ") ? $0.dropFirst(4) : $0 }.joined(separator: "\n")
        #expect(text == statement.text)
    }

    /// The example of the DSSE specification.
    @Test func `is signed in the encoding that DSSE prescribes`() {
        let bytes = Envelope.signedBytes(type: "http://example.com/HelloWorld", payload: Array("hello world".utf8))
        #expect(String(decoding: bytes, as: UTF8.self) == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    }
}
