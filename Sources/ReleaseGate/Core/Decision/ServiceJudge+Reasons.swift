extension ServiceJudge {
    /// What is asked for while something that should be known is not: time, up to the policy's patience.
    static func lackOutcome(_ input: GateInput) -> Decision.Outcome {
        if input.stepsElapsed == 0 { return .wait }
        return input.stepsElapsed < input.policy.extensionsMax ? .extend : .hold
    }

    var patience: String {
        let most = input.policy.extensionsMax * input.policy.stepSeconds
        switch Self.lackOutcome(input) {
        case .wait: return "the step still runs"
        case .extend: return "the step is extended, to \(most) s at most"
        case .hold, .seal, .advance, .rollBack: return "the step took \(most) s and did not show it"
        }
    }

    /// Canary against stable, for people.
    func comparison(_ view: IndicatorView) -> String {
        let (canary, stable) = (view.relative.canary, view.relative.stable)
        let sides = "\(canary.bad) of \(canary.total) bad on the canary, \(stable.bad) of \(stable.total) on stable"
        let needed = RelativeTest.logNeeded(
            indicators: input.comparedIndicators, falseAlarmThousandths: input.policy.falseAlarmThousandths)
        let evidence = Decimal.text(view.relative.logEvidence / Real.ln(10))
        return "\(view.name): \(sides); evidence 10^\(evidence), 10^\(Decimal.text(needed / Real.ln(10))) is needed"
    }

    /// Where an objective stands in its budget.
    func standing(_ view: IndicatorView) -> String {
        guard let test = view.canaryTest else {
            let share = Percent.text(view.canary.bad, of: view.canary.total)
            return "\(view.name): \(share) of \(view.canary.total), before the first planned look"
        }
        return "\(view.name): \(description(of: test))"
    }

    /// Why a canary's objective is beyond doubt bad; nil when it is not.
    func badness(of view: IndicatorView) -> String? {
        if let test = view.canaryTest, test.verdict == .provenBad { return "\(view.name): \(description(of: test))" }
        guard let burn = view.evidence?.canaryBurn else { return nil }
        let rules = BurnRate.burning(
            input.policy.burnRules, severity: .page, budget: view.objective.budget, windows: burn.now)
        let new = rules.filter {
            !BurnRate.isBurning($0, budget: view.objective.budget, windows: burn.atStepStart)
        }
        guard let rule = new.first else { return nil }
        let factor = Decimal.text(BurnRate.factor(of: rule, budget: view.objective.budget))
        return "\(view.name): the canary burns its budget at more than \(factor) times its pace (\(rule.name))"
    }

    /// Why the stable version is as bad, so that it is not the release; nil when it is not.
    func stableBadness(of view: IndicatorView) -> String? {
        if let test = view.stableTest, test.verdict == .provenBad {
            return "\(view.name): stable too: \(description(of: test))"
        }
        let windows = view.evidence?.stableBurn.now ?? []
        let rules = BurnRate.burning(
            input.policy.burnRules, severity: .page, budget: view.objective.budget, windows: windows)
        return rules.first.map { "\(view.name): stable burns its budget too (\($0.name))" }
    }

    private func description(of test: AbsoluteTest) -> String {
        let share = Percent.text(test.sample.bad, of: test.sample.total)
        let bounds = test.bounds
        let range = "between \(Percent.text(bounds.lower)) and \(Percent.text(bounds.upper))"
        let counts = "\(test.sample.bad) of \(test.sample.total) bad (\(share), \(range))"
        return "\(counts) against a budget of \(test.budget): \(test.verdict.text)"
    }
}

extension AbsoluteTest.Verdict {
    var text: String {
        switch self {
        case .provenGood: "proven good"
        case .provenBad: "proven bad"
        case .undecided: "not proven either way"
        }
    }
}
