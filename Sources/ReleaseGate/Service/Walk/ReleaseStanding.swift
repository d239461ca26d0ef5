internal import ReleaseGateCore

/// What the lineage alone says of a release in an environment, whatever is seen of it there: asked before a canary
/// begins, and before each decision that controllers go by.
enum ReleaseStanding: Equatable {
    /// Nothing that was recorded stands against it.
    case free
    /// It was taken back there, or is to be; says so in words.
    case rolledBack(String)
    /// It has no place there; says why.
    case barred(String)

    init(_ release: ReleaseFile, in environment: DeployEnvironment, by entries: [LineageEntry]) {
        let (version, place) = (release.train.version, environment.rawValue)
        switch WalkState(entries, environment: environment, version: version).phase {
        case .rolledBack: self = .rolledBack("\(version) was rolled back in \(place)")
        case .decided(.rollBack, _): self = .rolledBack("\(version) is being rolled back in \(place)")
        case .superseded(let other): self = .barred("\(other) has taken the place of \(version) in \(place)")
        case .notBegun, .walking, .decided, .sealed:
            let isPromoted = Self.isPromoted(release, to: environment, by: entries)
            self = isPromoted ? .free : .barred("\(version) was not promoted to \(place) with these digests")
        }
    }

    /// Beyond dev, only what a promotion checked may run: these very digests.
    private static func isPromoted(
        _ release: ReleaseFile, to environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> Bool {
        environment == .dev
            || entries.contains { entry in
                let event = entry.event
                return event.kind == .promote && event.environment == environment
                    && event.version == release.train.version && Set(event.digests) == Set(release.train.digests)
            }
    }

    /// What it decides by itself; nil where what is seen decides.
    var decision: Decision? {
        switch self {
        case .free: nil
        case .rolledBack(let why): Self.decision(.rollBack, why)
        case .barred(let why): Self.decision(.hold, why)
        }
    }

    private static func decision(_ outcome: Decision.Outcome, _ why: String) -> Decision {
        Decision(outcome: outcome, row: .barred, pages: false, decidedBy: nil, lines: [why], services: [])
    }
}
