internal import FoundationEssentials
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
        /// Another version's walk began before this one's had ended: from there on the canary is that one's.
        case superseded(by: Version)
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
    /// Where another version's walk first began after the seal, or in place of this one's: from there on the canary is
    /// that one's.
    package private(set) var nextWalk: LineageEntry?
    /// Where another version was first sealed after the seal: there its soak ends, whatever became of that one.
    package private(set) var nextSeal: LineageEntry?
    /// The others that were sealed after the seal and not rolled back: they run in its place.
    package private(set) var successors: [LineageEntry] = []
    /// When the stable side became this version's alone: with its seal, and with each way back to it.
    private var stableSeconds: [Int] = []

    package init(_ entries: [LineageEntry], environment: DeployEnvironment, version: Version) {
        for entry in entries where entry.event.environment == environment {
            if entry.event.version == version { apply(entry) } else { follow(entry) }
        }
    }

    /// Takes what happened to another version once this one's walk had begun.
    private mutating func follow(_ entry: LineageEntry) {
        switch entry.event.kind {
        case .install where isOpen:
            phase = .superseded(by: entry.event.version)
            nextWalk = entry
        case .install where seal != nil: nextWalk = nextWalk ?? entry
        case .seal where seal != nil:
            nextSeal = nextSeal ?? entry
            successors.append(entry)
        case .rollback:
            let count = successors.count
            successors.removeAll { $0.event.version == entry.event.version }
            if successors.isEmpty, count > 0 { stableSeconds.append(entry.event.atSeconds) }
        default: break
        }
    }

    /// Whether it was begun, and neither sealed nor taken back since.
    private var isOpen: Bool {
        switch phase {
        case .walking, .decided: true
        case .notBegun, .sealed, .rolledBack, .superseded: false
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
            stableSeconds = [event.atSeconds]
            intent = nil
        case .rollback:
            phase = .rolledBack
            intent = nil
        case .uninstall: intent = nil
        case .cut, .promote, .verification, .revocation, .approval, .breakGlass, .imported: break
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
    /// Another version whose walk in an environment is open: there is one canary, and it is that one's.
    static func openWalk(
        _ entries: [LineageEntry], environment: DeployEnvironment, besides version: Version
    ) -> Version? {
        let others = entries.filter { $0.event.environment == environment && $0.event.version != version }
        // The walks before the newest ended by it.
        guard let newest = others.last(where: { $0.event.kind == .install }) else { return nil }
        let other = newest.event.version
        let isGone = others.contains {
            $0.event.version == other && $0.event.kind == .uninstall && $0.sequence > newest.sequence
        }
        return !isGone && WalkState(entries, environment: environment, version: other).isOpen ? other : nil
    }

    /// What evidence is of this version as of a moment.
    ///
    /// - Parameters:
    ///   - walkBegan: where the walk is said to begin, instead of where it did.
    ///   - step: that is asked about, instead of the one that was reached.
    func moment(now: Date, walkBegan: Int? = nil, step: GateInput.Step? = nil) -> EvidenceCollector.Moment {
        let sealed = phase == .sealed ? stableSeconds.last { $0 <= Int(now.timeIntervalSince1970) } : nil
        return EvidenceCollector.Moment(
            walkBegan: GateSession.date(walkBegan ?? beganSeconds),
            stepBegan: GateSession.date(step?.beganSeconds ?? self.step.beganSeconds), now: now,
            sealed: sealed.map(GateSession.date), next: nextWalk.map { GateSession.date($0.event.atSeconds) })
    }

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
