internal import Contracts

/// What is signed: in-toto Statement v1 with a SLSA verification summary, and with the release's closure.
extension CertificateStatement {
    package static let summaryType = "https://slsa.dev/verification_summary/v1"
    package static let closureType = "urn:golden:release-closure:v1"
    private static let statementType = "https://in-toto.io/Statement/v1"
    private static let verifier = "urn:golden:release-gate"

    /// Canonical, so that the same release always has the same bytes.
    package func verificationSummary(version: String) -> [UInt8] {
        statement(Self.summaryType) { writer in
            writer.field(
                "verifier",
                object: { writer in
                    writer.field("id", Self.verifier)
                    writer.field("version", object: { $0.field("release-gate", version) })
                })
            writer.field("timeVerified", Timestamp.text(sealedSeconds))
            writer.field("resourceUri", "urn:golden:\(environment.rawValue):\(chartName):\(self.version)")
            writer.field(
                "policy",
                object: { writer in
                    writer.field("uri", "urn:golden:release-policy")
                    writer.field("digest", object: { $0.field("sha256", policySHA256) })
                })
            writer.field(
                "inputAttestations",
                array: { writer in
                    for item in evidence {
                        writer.element(object: { writer in
                            writer.field("uri", "urn:golden:evidence:\(item.name)")
                            writer.field("digest", object: { $0.field("sha256", item.sha256) })
                        })
                    }
                })
            writer.field("verificationResult", isPassed ? "PASSED" : "FAILED")
            writer.field("verifiedLevels", [String]())
            writer.field("slsaVersion", "1.1")
        }
    }

    package func closure() -> [UInt8] {
        statement(Self.closureType) { writer in
            writer.field(
                "release",
                object: { writer in
                    writer.field("chart", chartName)
                    writer.field("version", version.description)
                    writer.field("appVersion", appVersion)
                    writer.field("environment", environment.rawValue)
                    writer.field("namespace", namespace)
                    writer.field("revision", revision)
                    writer.field("sealedAt", Timestamp.text(sealedSeconds))
                    writer.field("signer", signer)
                })
            writer.field(
                "statuses",
                array: { writer in
                    for status in statuses { writer.element(object: { Self.write(status, to: &$0) }) }
                })
            writer.field(
                "resources",
                array: { writer in
                    for resource in resources {
                        writer.element(object: { writer in
                            writer.field("kind", resource.kind)
                            writer.field("summary", resource.summary)
                        })
                    }
                })
            writer.field(
                "lineage",
                object: { writer in
                    writer.field("size", lineageSize)
                    writer.field("rootSha256", lineageRootSHA256)
                })
            writer.field("decisionSha256", decisionSHA256)
            writer.field("policySha256", policySHA256)
        }
    }

    private static func write(_ status: Status, to writer: inout JSONWriter) {
        writer.field("heading", status.heading.rawValue)
        writer.field("status", status.word)
        writer.field(
            "evidence",
            array: { writer in
                for item in status.evidence {
                    writer.element(object: { writer in
                        writer.field("name", item.name)
                        writer.field("sha256", item.sha256)
                        writer.field("holds", item.holds)
                    })
                }
            })
    }

    private func statement(_ type: String, _ predicate: (inout JSONWriter) -> Void) -> [UInt8] {
        JSONWriter.object { writer in
            writer.field("_type", Self.statementType)
            writer.field(
                "subject",
                array: { writer in
                    for subject in subjects {
                        writer.element(object: { writer in
                            writer.field("name", subject.name)
                            writer.field("digest", object: { $0.field("sha256", subject.sha256) })
                        })
                    }
                })
            writer.field("predicateType", type)
            writer.field("predicate", object: predicate)
        }.canonical
    }
}
