package import ReleaseGateCore

/// Where a release stands in one environment: worked out from the lineage alone, so that a gate that was killed knows
/// as much as one that was not.
package struct WalkState: Sendable, Equatable {
    package enum Phase: Sendable, Equatable {
        case notBegun
        case walking
        /// It was decided and not carried out yet, as far as the lineage says.
        case decided(Decision.Outcome, atSeconds: Int)
        case sealed
        case rolledBack
    }

    package private(set) var phase = Phase.notBegun
    package private(set) var beganSeconds = 0
    package private(set) var step = GateInput.Step(index: 0, beganSeconds: 0)
    /// The newest decision to hold, when nothing came after it.
    package private(set) var held: String?
    /// What commands were about to do, when nothing says that they did it.
    package private(set) var intent: String?
    /// A later verification found it bad: nothing may be promoted from it.
    package private(set) var isRevoked = false

    package init(_ entries: [LineageEntry], environment: DeployEnvironment, version: Version) {
        for entry in entries where entry.event.environment == environment && entry.event.version == version {
            apply(entry.event)
        }
    }

    private mutating func apply(_ event: LineageEntry.Event) {
        switch event.kind {
        case .intent: intent = event.reason
        case .install:
            self = WalkState([], environment: event.environment, version: event.version)
            phase = .walking
            beganSeconds = event.atSeconds
            step = GateInput.Step(index: 0, beganSeconds: event.atSeconds)
        case .decision:
            switch event.decision {
            case .advance, .rollBack, .seal: phase = .decided(event.decision ?? .hold, atSeconds: event.atSeconds)
            case .hold: held = event.reason
            case .wait, .extend, nil: break
            }
        case .step:
            phase = .walking
            held = nil
            intent = nil
            step = GateInput.Step(index: step.index + 1, beganSeconds: event.atSeconds)
        case .seal:
            phase = .sealed
            intent = nil
        case .rollback:
            phase = .rolledBack
            intent = nil
        case .uninstall: intent = nil
        case .revocation: isRevoked = true
        case .cut, .promote, .verification, .approval, .breakGlass, .imported: break
        }
    }
}
