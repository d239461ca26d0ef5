/// Something that must have been done before a release may go on, with what shows that it was.
package struct Precondition: Sendable, Equatable, Codable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        case endToEndTests = "e2e_tests"
        case smokeTests = "smoke_tests"
        case loadTest = "load_test"
        case vulnerabilityScan = "vulnerability_scan"
        /// Of the firewall's rules and of what answers from outside (ZAP).
        case securityScan = "security_scan"
        /// Of the stores, certificates, manifests and the cluster's room: `release-gate preflight --record`.
        case preflight
        case backup
        case restoreDrill = "restore_drill"
        case secretRotation = "secret_rotation"
        case volumeSnapshot = "volume_snapshot"
        case onCallAcknowledged = "on_call_acknowledged"
        case maintenanceWindow = "maintenance_window"
        case rollbackPlan = "rollback_plan"
        case releaseNotes = "release_notes"
    }

    package enum Result: String, Sendable, Codable { case passed, failed }

    package let kind: Kind
    package let result: Result
    package let atSeconds: Int
    /// What it was about; empty where it concerns the environment and not the release.
    package let digests: [ArtifactDigest]
    /// SHA-256 of the report, in hexadecimal.
    package let evidenceSHA256: String
    /// One line for people: `412 of 412 passed`, a snapshot's id.
    package let summary: String
    /// Where it was looked; nil for anywhere.
    package let environment: DeployEnvironment?

    package init(
        kind: Kind, result: Result, atSeconds: Int, digests: [ArtifactDigest] = [], evidenceSHA256: String,
        summary: String, environment: DeployEnvironment? = nil
    ) {
        self.kind = kind
        self.result = result
        self.atSeconds = atSeconds
        self.digests = digests
        self.evidenceSHA256 = evidenceSHA256
        self.summary = summary
        self.environment = environment
    }
}
