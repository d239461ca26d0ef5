/// How fast a budget is being used up, by the burn rules.
package enum BurnRate {
    /// Fewer bad events in the short window are no burn, whatever their share: of six requests one failed is 17%.
    package static let badMin = 5

    /// The rule's factor, capped so that half of all events being bad always exceeds it.
    package static func factor(of rule: BurnRule, budget: ErrorBudget) -> Double {
        min(Double(rule.factorThousandths) / 1000, 0.5 / budget.share)
    }

    /// The budget's pace in one window, 1 being the even one; nil without events.
    package static func pace(_ sample: Sample, budget: ErrorBudget) -> Double? {
        sample.total > 0 ? Double(sample.bad) / Double(sample.total) / budget.share : nil
    }

    /// Whether both windows of the rule exceed its factor. A window that was not counted exceeds nothing; a caller's
    /// retries are one failure here too.
    package static func isBurning(
        _ rule: BurnRule, budget: ErrorBudget, windows: [IndicatorEvidence.Window]
    ) -> Bool {
        guard let long = sample(windows, rule.longSeconds), let short = sample(windows, rule.shortSeconds),
            short.bad >= badMin, let longPace = pace(long, budget: budget),
            let shortPace = pace(short, budget: budget)
        else { return false }
        let factor = factor(of: rule, budget: budget)
        return longPace > factor && shortPace > factor
    }

    /// The rules that burn.
    package static func burning(
        _ rules: [BurnRule], severity: BurnRule.Severity, budget: ErrorBudget, windows: [IndicatorEvidence.Window]
    ) -> [BurnRule] {
        rules.filter { $0.severity == severity && isBurning($0, budget: budget, windows: windows) }
    }

    /// The rules of which nobody can say whether they burn: one of their windows was not counted.
    package static func uncounted(
        _ rules: [BurnRule], severity: BurnRule.Severity, windows: [IndicatorEvidence.Window]
    ) -> [BurnRule] {
        rules.filter { rule in
            rule.severity == severity
                && [rule.longSeconds, rule.shortSeconds].contains { sample(windows, $0) == nil }
        }
    }

    /// What is left of the window's budget, in thousandths of it: at or below zero nothing but fixes is released. Nil
    /// without events.
    package static func remainingThousandths(_ sample: Sample, budget: ErrorBudget) -> Int? {
        pace(sample, budget: budget).map { Int(((1 - $0) * 1000).rounded(.down)) }
    }

    private static func sample(_ windows: [IndicatorEvidence.Window], _ seconds: Int) -> Sample? {
        windows.first { $0.seconds == seconds }?.reading.sample?.withoutRepeats
    }
}

extension BurnRule {
    /// `1h/5m`.
    package var name: String { "\(Self.text(longSeconds))/\(Self.text(shortSeconds))" }

    private static func text(_ seconds: Int) -> String {
        if seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
        if seconds % 3600 == 0 { return "\(seconds / 3600)h" }
        return seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s"
    }
}
