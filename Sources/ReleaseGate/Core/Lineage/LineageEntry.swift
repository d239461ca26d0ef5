/// One thing that happened to one environment, for ever. Entries are chained by their hashes; none is ever changed.
package struct LineageEntry: Sendable, Equatable, Codable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        case cut, install, promote, step, decision, seal, rollback, verification, revocation, approval, uninstall
        case breakGlass = "break_glass"
        /// Commands are about to be run: whoever finds this entry without one that ends it knows that they may have
        /// been.
        case intent
        /// Imported from `helm history`.
        case imported
    }

    /// What happened, before it has a place in the chain.
    package struct Event: Sendable, Equatable, Codable {
        package let atSeconds: Int
        package let environment: DeployEnvironment
        package let version: Version
        package let digests: [ArtifactDigest]
        package let kind: Kind
        package let actor: String
        package let decision: Decision.Outcome?
        /// Of a walk, that the decision is about; entries of before it was kept have none.
        package let step: GateInput.Step?
        package let reason: String
        /// Of the canonical `GateInput.evidence`, where there is one.
        package let evidenceSHA256: String?
        package let policySHA256: String?
        /// Helm's or Argo CD's revision.
        package let revision: String?

        package init(
            atSeconds: Int, environment: DeployEnvironment, version: Version, digests: [ArtifactDigest], kind: Kind,
            actor: String, decision: Decision.Outcome? = nil, step: GateInput.Step? = nil, reason: String,
            evidenceSHA256: String? = nil, policySHA256: String? = nil, revision: String? = nil
        ) {
            self.atSeconds = atSeconds
            self.environment = environment
            self.version = version
            self.digests = digests
            self.kind = kind
            self.actor = actor
            self.decision = decision
            self.step = step
            self.reason = reason
            self.evidenceSHA256 = evidenceSHA256
            self.policySHA256 = policySHA256
            self.revision = revision
        }

        /// Whether the version runs from then on: it was sealed, or Helm's history has it as deployed.
        package var isDeployment: Bool {
            kind == .seal
                || (kind == .imported && ["helm: deployed", "helm: superseded"].contains { reason.hasPrefix($0) })
        }
    }

    /// Counts from 0 without gaps: the entry's leaf in the Merkle tree.
    package let sequence: Int
    /// Of the entry before; 64 zeros for the first.
    package let previousSHA256: String
    package let event: Event

    package init(sequence: Int, previousSHA256: String, event: Event) {
        self.sequence = sequence
        self.previousSHA256 = previousSHA256
        self.event = event
    }
}
