/// Everything a decision depends on: given the same, `Gate.decide` says the same, byte for byte.
package struct GateInput: Sendable, Equatable, Codable {
    /// Where the walk stands.
    package struct Step: Sendable, Equatable, Codable {
        /// Counts from 0.
        package let index: Int
        package let beganSeconds: Int

        package init(index: Int, beganSeconds: Int) {
            self.index = index
            self.beganSeconds = beganSeconds
        }
    }

    package let version: Version
    package let environment: DeployEnvironment
    package let digests: [ArtifactDigest]
    /// Unix time of the look.
    package let atSeconds: Int
    package let step: Step
    package let policy: GatePolicy
    package let evidence: TrainEvidence

    package init(
        version: Version, environment: DeployEnvironment, digests: [ArtifactDigest], atSeconds: Int, step: Step,
        policy: GatePolicy, evidence: TrainEvidence
    ) {
        self.version = version
        self.environment = environment
        self.digests = digests
        self.atSeconds = atSeconds
        self.step = step
        self.policy = policy
        self.evidence = evidence
    }
}
