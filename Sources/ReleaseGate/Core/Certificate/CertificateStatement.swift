/// What is known about a release when it is closed: the source of the signed statement and of the text certificate.
package struct CertificateStatement: Sendable, Equatable, Codable {
    /// The ten headings of the customer's closure certificate.
    package enum Heading: String, Sendable, Codable, CaseIterable {
        case versionControl = "version_control"
        case lineagePreservation = "lineage_preservation"
        case promotionGates = "promotion_gates"
        case security
        case stateManagement = "state_management"
        case rolloutStrategy = "rollout_strategy"
        case preDeployment = "pre_deployment"
        case postDeployment = "post_deployment"
        case monitoring, documentation
    }

    /// A report that shows a heading to hold.
    package struct Evidence: Sendable, Equatable, Codable {
        package let heading: Heading
        package let name: String
        package let sha256: String
        package let holds: Bool

        package init(heading: Heading, name: String, sha256: String, holds: Bool) {
            self.heading = heading
            self.name = name
            self.sha256 = sha256
            self.holds = holds
        }
    }

    /// One line of "resources deployed".
    package struct Resource: Sendable, Equatable, Codable {
        /// `Deployments`, `Pods`.
        package let kind: String
        /// `5 (orchestrator, peer-hub, …)`.
        package let summary: String

        package init(kind: String, summary: String) {
            self.kind = kind
            self.summary = summary
        }
    }

    package let chartName: String
    package let version: Version
    package let appVersion: String
    package let environment: DeployEnvironment
    package let namespace: String
    package let revision: String
    package let sealedSeconds: Int
    package let subjects: [ArtifactDigest]
    package let evidence: [Evidence]
    package let resources: [Resource]
    /// The lineage up to and with the release's seal.
    package let lineageSize: Int
    package let lineageRootSHA256: String
    package let decisionSHA256: String
    package let policySHA256: String
    package let signer: String

    package init(
        chartName: String, version: Version, appVersion: String, environment: DeployEnvironment, namespace: String,
        revision: String, sealedSeconds: Int, subjects: [ArtifactDigest], evidence: [Evidence],
        resources: [Resource], lineageSize: Int, lineageRootSHA256: String, decisionSHA256: String,
        policySHA256: String, signer: String
    ) {
        self.chartName = chartName
        self.version = version
        self.appVersion = appVersion
        self.environment = environment
        self.namespace = namespace
        self.revision = revision
        self.sealedSeconds = sealedSeconds
        self.subjects = subjects
        self.evidence = evidence
        self.resources = resources
        self.lineageSize = lineageSize
        self.lineageRootSHA256 = lineageRootSHA256
        self.decisionSHA256 = decisionSHA256
        self.policySHA256 = policySHA256
        self.signer = signer
    }
}
