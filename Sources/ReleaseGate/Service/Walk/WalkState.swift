package import ReleaseGateCore

/// Where a release stands in one environment: worked out from the lineage alone, so that a gate that was killed knows
/// as much as one that was not.
///
/// Decisions are recorded outside of a walk, too, and people roll back while a walk goes on: an entry counts only where
/// the one that it follows from is there.
package struct WalkState: Sendable, Equatable {
    package enum Phase: Sendable, Equatable {
        case notBegun
        case walking
        /// It was decided and not carried out yet, as far as the lineage says.
        case decided(Decision.Outcome, atSeconds: Int)
        case sealed
        /// Taken back, or begun to be by hand. Nothing follows: the number is burned.
        case rolledBack
    }

    package private(set) var phase = Phase.notBegun
    package private(set) var beganSeconds = 0
    /// What is walked; nil before it has begun.
    package private(set) var digests: [ArtifactDigest]?
    package private(set) var step = GateInput.Step(index: 0, beganSeconds: 0)
    /// The newest decision to hold, when nothing came after it.
    package private(set) var held: String?
    /// What commands were about to do, when nothing says that they did it.
    package private(set) var intent: String?
    /// The newest decision that was to be carried out.
    package private(set) var decision: LineageEntry?
    package private(set) var seal: LineageEntry?
    /// A later verification found it bad: nothing may be promoted from it.
    package private(set) var isRevoked = false
    /// Where another version's walk first began after the seal: from there on the canary is that one's.
    package private(set) var nextWalk: LineageEntry?
    /// Where another version was first sealed after the seal: from there on the stable side is that one's, too.
    package private(set) var nextSeal: LineageEntry?

    package init(_ entries: [LineageEntry], environment: DeployEnvironment, version: Version) {
        for entry in entries where entry.event.environment == environment {
            if entry.event.version == version { apply(entry) } else if seal != nil { follow(entry) }
        }
    }

    /// Takes what happened to another version after the seal.
    private mutating func follow(_ entry: LineageEntry) {
        switch entry.event.kind {
        case .install: nextWalk = nextWalk ?? entry
        case .seal: nextSeal = nextSeal ?? entry
        default: break
        }
    }

    private mutating func apply(_ entry: LineageEntry) {
        let event = entry.event
        switch event.kind {
        case .intent:
            intent = event.reason
            if event.reason == ReleaseValues.intent(.rollback, weight: 0) { phase = .rolledBack }
        case .install:
            guard phase == .notBegun else { return }
            phase = .walking
            beganSeconds = event.atSeconds
            digests = event.digests
            step = GateInput.Step(index: 0, beganSeconds: event.atSeconds)
        case .decision: decide(entry)
        case .step:
            guard case .decided(.advance, _) = phase else { return }
            phase = .walking
            held = nil
            intent = nil
            step = GateInput.Step(index: step.index + 1, beganSeconds: event.atSeconds)
        case .seal:
            guard case .decided(.seal, _) = phase else { return }
            phase = .sealed
            seal = entry
            intent = nil
        case .rollback:
            phase = .rolledBack
            intent = nil
        case .uninstall: intent = nil
        case .revocation: isRevoked = true
        case .cut, .promote, .verification, .approval, .breakGlass, .imported: break
        }
    }

    /// Takes a decision of the step that is walked, about what is walked: the others were made on their own.
    private mutating func decide(_ entry: LineageEntry) {
        let event = entry.event
        guard phase == .walking, event.step ?? step == step, Set(event.digests) == Set(digests ?? []),
            let outcome = event.decision
        else { return }
        switch outcome {
        case .advance, .rollBack, .seal:
            phase = .decided(outcome, atSeconds: event.atSeconds)
            decision = entry
        case .hold: held = event.reason
        case .wait, .extend: break
        }
    }
}

extension WalkState {
    /// The seal, checked to be of what `release.yaml` names.
    ///
    /// - Throws: `refused` when there is none, or one of something else under the same version.
    func verifiedSeal(of release: ReleaseFile, in environment: DeployEnvironment) throws(GateError) -> LineageEntry {
        let place = "\(release.train.version) in \(environment.rawValue)"
        guard phase == .sealed, let seal else {
            throw GateError(.refused, "There is no seal of \(place): nothing was signed or recorded.")
        }
        let different = ArtifactDigest.differing(seal.event.digests, release.train.digests)
        guard different.isEmpty else {
            throw GateError(
                .refused,
                "The seal of \(place) is of other digests than release.yaml names: "
                    + "\(different.joined(separator: ", ")). Nothing was signed or recorded.",
                next: "Put back the release.yaml that was walked, or cut a version for what was rebuilt.")
        }
        return seal
    }
}
