/// A wish to bring a train into an environment, with everything that speaks for it.
package struct PromotionRequest: Sendable, Equatable {
    /// A standing seal of the environment before.
    package struct Seal: Sendable, Equatable, Codable {
        package let environment: DeployEnvironment
        package let version: Version
        package let artifacts: [ArtifactDigest]

        package init(environment: DeployEnvironment, version: Version, artifacts: [ArtifactDigest]) {
            self.environment = environment
            self.version = version
            self.artifacts = artifacts
        }
    }

    /// Where an objective of the target stands before anything changes.
    package struct Standing: Sendable, Equatable {
        package let objective: ServiceLevelObjective
        package let thirtyDays: Reading
        package let windows: [IndicatorEvidence.Window]

        package init(
            objective: ServiceLevelObjective, thirtyDays: Reading, windows: [IndicatorEvidence.Window] = []
        ) {
            self.objective = objective
            self.thirtyDays = thirtyDays
            self.windows = windows
        }
    }

    package let train: ReleaseTrain
    /// Nil for what comes from the build.
    package let source: DeployEnvironment?
    package let target: DeployEnvironment
    package let atSeconds: Int
    /// SHA-256 of the plan that approvals are bound to.
    package let planSHA256: String
    package let bump: VersionRules.Bump?
    /// Skips staging; needs two approvals more and is recorded as break-glass.
    package var isHotfix = false
    /// Production for the first time.
    package var isGoLive = false
    package var seal: Seal?
    /// What the source's lineage says was sealed there, which the certificate must be of; nil when it says nothing.
    package var sealedArtifacts: [ArtifactDigest]?
    package var soakMinutes = 0
    package var approvals: [Approval] = []
    package var preconditions: [Precondition] = []
    package var attestations: [Attestation] = []
    package var origin = SupplyChainRules.Origin(commit: nil, repository: nil)
    /// What is said to run in the target.
    package var previousVersion: Version?
    /// What the lineage says runs there; nil when it says nothing.
    package var runningVersion: Version?
    /// The lineage holds a promotion of `previousVersion` since then: a person may have completed it.
    package var isPreviousPromoted = false
    /// Whose walk in the target took this version's place there; nil for none.
    package var supersededBy: Version?
    /// Why the version was rolled back, wherever that was; nil while it stands.
    package var burnedFor: String?
    /// Nil when there is none, which is refused.
    package var compatibility: CompatibilityMatrix?
    package var standings: [Standing] = []

    package init(
        train: ReleaseTrain, source: DeployEnvironment?, target: DeployEnvironment, atSeconds: Int,
        planSHA256: String, bump: VersionRules.Bump?
    ) {
        self.train = train
        self.source = source
        self.target = target
        self.atSeconds = atSeconds
        self.planSHA256 = planSHA256
        self.bump = bump
    }

    /// What the train takes the place of.
    package var replacedVersion: Version? { isPreviousPromoted ? previousVersion : runningVersion ?? previousVersion }
}

/// What promotions need in this project.
package struct PromotionPolicy: Sendable, Equatable, Codable {
    /// Minutes with traffic and green objectives before a version may leave the environment.
    package let soakMinutesDev: Int
    package let soakMinutesStaging: Int
    package let burnRules: [BurnRule]

    package init(
        soakMinutesDev: Int = 30, soakMinutesStaging: Int = 120, burnRules: [BurnRule] = BurnRule.standard
    ) {
        self.soakMinutesDev = soakMinutesDev
        self.soakMinutesStaging = soakMinutesStaging
        self.burnRules = burnRules
    }
}

/// Whether a train may go, and why.
package struct PromotionRuling: Sendable, Equatable {
    package let refusals: [Refusal]
    /// Said, and no reason to refuse.
    package let warnings: [String]
    /// What was found in order.
    package let lines: [String]
    package let isBreakGlass: Bool
    /// A pull request to production starts as a draft.
    package let isDraft: Bool

    package var isAllowed: Bool { refusals.isEmpty }
}
