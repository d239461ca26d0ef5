/// The release gate's judgement: a pure function of what was seen and of the policy.
package enum Gate {
    /// The train's decision is its worst service's.
    package static func decide(_ input: GateInput) -> Decision {
        let services = judged(input).sorted { $0.service < $1.service }
        let outcome = services.map(\.outcome).max() ?? .hold
        let decisive = services.first { $0.outcome == outcome }
        let isGoingOn = outcome < .wait
        var lines = heading(input)
        for service in services {
            lines.append("\(service.service): \(service.outcome.text)")
            lines += service.lines.map { "  \($0)" }
        }
        if outcome == .rollBack, input.evidence.schema == .pastContract {
            lines.append("The schema is past its contract step: the version before cannot run on it any more.")
            lines.append("Decision: hold, and page. A person must choose between mending forward and a restore.")
            return Decision(
                outcome: .hold, row: .schemaPastContract, pages: true, decidedBy: decisive?.service, lines: lines,
                services: services)
        }
        let by = services.count > 1 && !isGoingOn ? decisive.map { " because of \($0.service)" } ?? "" : ""
        lines.append("Decision: \(outcome.text)\(by)")
        return Decision(
            outcome: outcome, row: decisive?.row ?? .evidenceLacking, pages: false,
            decidedBy: isGoingOn ? nil : decisive?.service, lines: lines, services: services)
    }

    /// Services with evidence, and those that only objectives name: a service that nothing was seen of is not good.
    private static func judged(_ input: GateInput) -> [Decision.ServiceDecision] {
        let known = Set(input.evidence.services.map(\.service))
        let unseen = Set(input.policy.objectives.filter { $0.class == .blocking }.map(\.service)).subtracting(known)
        return input.evidence.services.map { ServiceJudge(input, $0).decision }
            + unseen.map { service in
                let waits = ServiceJudge.lackOutcome(input)
                return Decision.ServiceDecision(
                    service: service, outcome: waits, row: .evidenceLacking,
                    lines: ["evidence_lacking: yes: nothing was seen of this service"])
            }
    }

    private static func heading(_ input: GateInput) -> [String] {
        let step = "step \(input.step.index + 1) of \(input.policy.stepPercents.count), \(input.stepPercent)%"
        let time = "\(input.stepElapsedSeconds) of \(input.policy.stepSeconds) s"
        return ["\(input.version) in \(input.environment.rawValue): \(step), \(time)"]
    }
}

extension Decision.Outcome {
    /// As people say it.
    package var text: String {
        switch self {
        case .seal: "seal"
        case .advance: "advance"
        case .wait: "wait"
        case .extend: "extend"
        case .hold: "hold"
        case .rollBack: "roll back"
        }
    }
}
