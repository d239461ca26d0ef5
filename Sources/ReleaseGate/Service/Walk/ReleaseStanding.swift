internal import ReleaseGateCore

/// What the lineage alone says of a release in an environment, whatever is seen of it there: asked before a canary
/// begins, and before each decision that controllers go by.
enum ReleaseStanding: Equatable {
    /// Nothing that was recorded stands against it.
    case free
    /// It was taken back there, or is to be, and begins no more; says so in words.
    case rolledBack(String)
    /// A person took it back there, where nobody had sealed or rejected it: it may have run there, completed by a
    /// person, and what begins now be the way back. It may begin, and gets no traffic but past the gate.
    case withdrawn(String)
    /// It was sealed there and taken back since: what begins there now is the way back, which nobody judges or stops.
    case replaced(String)
    /// It has no place there; says why.
    case barred(String)

    /// - Parameter isStrict: nothing was promoted where the lineage holds no promotion to the environment at all;
    ///   otherwise such a lineage is one in which nobody records them, and says nothing.
    init(
        _ release: ReleaseFile, in environment: DeployEnvironment, by entries: [LineageEntry], isStrict: Bool = true
    ) {
        let (version, place) = (release.train.version, environment.rawValue)
        let state = WalkState(entries, environment: environment, version: version)
        let isPromoted = Self.isPromoted(release, to: environment, by: entries, isStrict: isStrict)
        let isRejected = state.decision?.event.decision == .rollBack
        switch state.phase {
        case .rolledBack where state.seal != nil: self = .replaced("\(version) was rolled back in \(place)")
        case .rolledBack where isPromoted && !isRejected: self = .withdrawn("\(version) was rolled back in \(place)")
        case .rolledBack: self = .rolledBack("\(version) was rolled back in \(place)")
        case .decided(.rollBack, _): self = .rolledBack("\(version) is being rolled back in \(place)")
        case .superseded(let other): self = .barred("\(other) has taken the place of \(version) in \(place)")
        case .notBegun, .walking, .decided, .sealed:
            self = isPromoted ? .free : .barred("\(version) was not promoted to \(place) with these digests")
        }
    }

    /// Beyond dev, only what a promotion checked may run: these very digests.
    private static func isPromoted(
        _ release: ReleaseFile, to environment: DeployEnvironment, by entries: [LineageEntry], isStrict: Bool
    ) -> Bool {
        if environment == .dev { return true }
        let promotions = entries.map(\.event).filter { $0.kind == .promote && $0.environment == environment }
        if promotions.isEmpty, !isStrict { return true }
        return promotions.contains { event in
            event.version == release.train.version && Set(event.digests) == Set(release.train.digests)
        }
    }

    /// What it decides by itself; nil where what is seen decides.
    var decision: Decision? {
        switch self {
        case .free: nil
        case .rolledBack(let why), .withdrawn(let why): Self.decision(.rollBack, why)
        case .replaced(let why), .barred(let why): Self.decision(.hold, why)
        }
    }

    private static func decision(_ outcome: Decision.Outcome, _ why: String) -> Decision {
        Decision(outcome: outcome, row: .barred, pages: false, decidedBy: nil, lines: [why], services: [])
    }
}
