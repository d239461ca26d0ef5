/// Is a share of bad events within its budget, beyond reasonable doubt? One-sided Clopper-Pearson bounds: exact for
/// whatever count, so that no small sample is taken for more than it is.
package struct AbsoluteTest: Sendable, Equatable {
    package enum Verdict: String, Sendable, Codable {
        case provenGood = "proven_good"
        case provenBad = "proven_bad"
        case undecided
    }

    /// Looks that a walk plans; the error of 5% is shared between them.
    package static let plannedLooks = 4
    package static let alpha = 0.05 / Double(plannedLooks)

    package let sample: Sample
    package let budget: ErrorBudget
    package let verdict: Verdict

    package init(_ sample: Sample, budget: ErrorBudget) {
        self.sample = sample
        self.budget = budget
        // The lower bound is above the budget exactly when so many are too unlikely at the budget; likewise the upper.
        if sample.total == 0 {
            verdict = .undecided
        } else if Binomial.upperTail(sample.bad, of: sample.total, share: budget.share) < Self.alpha {
            verdict = .provenBad
        } else if Binomial.lowerTail(sample.bad, of: sample.total, share: budget.share) < Self.alpha {
            verdict = .provenGood
        } else {
            verdict = .undecided
        }
    }

    /// Whether what was seen, taken at face value, is within budget.
    package var isWithinBudget: Bool {
        let bad = sample.bad.multipliedFullWidth(by: ErrorBudget.whole)
        let allowed = budget.partsPerMillion.multipliedFullWidth(by: sample.total)
        return (bad.high, bad.low) <= (allowed.high, allowed.low)
    }

    /// The one-sided bounds of the share, for people; 0 and 1 where nothing is known.
    package var bounds: (lower: Double, upper: Double) {
        guard sample.total > 0 else { return (0, 1) }
        let lower =
            sample.bad == 0
            ? 0 : Self.root { Binomial.upperTail(sample.bad, of: sample.total, share: $0) > Self.alpha }
        let upper =
            sample.bad == sample.total
            ? 1 : Self.root { Binomial.lowerTail(sample.bad, of: sample.total, share: $0) < Self.alpha }
        return (lower, upper)
    }

    /// The smallest count that could show anything: with fewer events, not one of them bad still proves nothing.
    /// `ceil(ln 0.05 / ln(1 - budget))`: 299 at 1%, 59 at 5%.
    package static func floor(of budget: ErrorBudget) -> Int {
        Int((Real.ln(0.05) / Real.ln(1 - budget.share)).rounded(.up))
    }

    /// Where `isAbove` turns true, between 0 and 1.
    private static func root(_ isAbove: (Double) -> Bool) -> Double {
        var (low, high) = (0.0, 1.0)
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if isAbove(middle) { high = middle } else { low = middle }
        }
        return (low + high) / 2
    }
}
