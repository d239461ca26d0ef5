/// One objective's evidence with what the tests say of it: computed once for all rows of the table.
struct IndicatorView {
    let objective: ServiceLevelObjective
    let evidence: IndicatorEvidence?
    let relative: RelativeTest
    /// Pooled over the steps of one digest.
    let canary: Sample
    let stable: Sample
    /// What the last planned look saw; nil before the first.
    let look: (canary: Sample, stable: Sample)?
    let floor: Int

    /// How old the newest interval may be.
    static let ageMaxSeconds = 120

    init(_ objective: ServiceLevelObjective, _ evidence: IndicatorEvidence?, in input: GateInput) {
        self.objective = objective
        self.evidence = evidence
        floor = AbsoluteTest.floor(of: objective.budget)
        let lookSeconds = input.lastLookSeconds
        var (relative, canary, stable) = (RelativeTest(), Sample.none, Sample.none)
        var atLook = (canary: Sample.none, stable: Sample.none)
        for interval in evidence?.intervals ?? [] {
            let (mine, other) = (interval.canary.sample, interval.stable.sample)
            if let mine { canary = canary + mine.withoutRepeats }
            if let other { stable = stable + other.withoutRepeats }
            if let mine, let other { relative.add(canary: mine, stable: other) }
            if let lookSeconds, interval.endSeconds <= lookSeconds { atLook = (canary, stable) }
        }
        self.relative = relative
        self.canary = canary
        self.stable = stable
        look = lookSeconds == nil ? nil : atLook
    }

    var name: String { objective.name }

    /// Both are part of the decision; the others are told, and decide nothing.
    var isBlocking: Bool { objective.class == .blocking }
    var isCompared: Bool { isBlocking && objective.comparison == .baseline }

    var canaryTest: AbsoluteTest? { look.map { AbsoluteTest($0.canary, budget: objective.budget) } }
    var stableTest: AbsoluteTest? { look.map { AbsoluteTest($0.stable, budget: objective.budget) } }

    /// Why the newest evidence cannot be used, in words; nil when it can.
    func lack(in input: GateInput) -> String? {
        guard let newest = evidence?.intervals.last else { return "no evidence at all" }
        let age = input.atSeconds - newest.endSeconds
        if age > Self.ageMaxSeconds { return "the newest interval ended \(age) s ago" }
        if let lack = newest.canary.lack { return "canary: \(lack)" }
        if objective.comparison == .baseline, input.isCompared, let lack = newest.stable.lack {
            return "stable: \(lack)"
        }
        if input.stepPercent > 0, canary.total < floor {
            return "\(canary.total) events, \(floor) are needed to show anything"
        }
        return nil
    }
}

extension Reading {
    /// What is wrong with it, in words; nil for counts.
    package var lack: String? {
        switch self {
        case .counted: nil
        case .missing: "no such series"
        case .notANumber: "not a number"
        case .stale(let ageSeconds): "stale for \(ageSeconds) s"
        case .reset: "a counter started anew"
        case .partial(let answered, let targets): "\(answered) of \(targets) targets answered"
        }
    }
}

extension GateInput {
    var stepPercent: Int { policy.stepPercents.indices.contains(step.index) ? policy.stepPercents[step.index] : 100 }

    /// Whether both versions get traffic in this step.
    var isCompared: Bool { (1..<100).contains(stepPercent) }

    var isLastStep: Bool { step.index >= policy.stepPercents.count - 1 }

    var stepElapsedSeconds: Int { max(0, atSeconds - step.beganSeconds) }

    /// How many times the step's time is over: 0 while it runs.
    var stepsElapsed: Int { stepElapsedSeconds / max(1, policy.stepSeconds) }

    /// The absolute test is looked at when a step's time is over (and again after each extension), not whenever the
    /// gate asks: its error is shared between planned looks. Nil during the walk's first step.
    var lastLookSeconds: Int? {
        if stepsElapsed > 0 { return step.beganSeconds + stepsElapsed * policy.stepSeconds }
        return step.index > 0 ? step.beganSeconds : nil
    }

    /// Over the whole train: the chance of a false alarm is one release's.
    var comparedIndicators: Int {
        policy.objectives.count { $0.class == .blocking && $0.comparison == .baseline }
    }
}
