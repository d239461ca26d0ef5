/// Is the canary worse than the stable version beside it? A test that may be looked at as often as one likes.
///
/// An e-process: while both are equally good, each bad event is the canary's with the chance `w`, its share of the
/// requests. For each ratio θ of a grid, the likelihood of what was seen if the canary fails θ times as often is
/// divided by its likelihood if it does not; their mean `E` exceeds `1/α` at any time with a chance of at most `α`
/// (Ville's inequality; Lindon and Malek, "Anytime-valid inference for multinomial count data", arXiv 2011.03567, and
/// for Poisson and Bernoulli streams arXiv 2205.14762).
package struct RelativeTest: Sendable, Equatable {
    package static let ratios = [1.25, 1.5, 2, 3, 5, 10, 30]
    private static let logRatios = ratios.map(Real.ln)
    /// Below these, whatever the evidence says, a few failures are just a few failures.
    package static let badMin = 5
    package static let intervalsMin = 2

    /// ln of the likelihood ratio, for each of the ratios.
    private var logs = [Double](repeating: 0, count: Self.ratios.count)
    package private(set) var canary = Sample.none
    package private(set) var stable = Sample.none
    package private(set) var intervalsWithBad = 0

    package init() {}

    /// One interval's counts; without requests on both sides there is nothing to compare.
    ///
    /// A caller's repeated failures are taken out of both counts: they are not independent of its first, and a test
    /// that takes them for more failures finds a difference wherever one caller retries.
    package mutating func add(canary: Sample, stable: Sample) {
        let (mine, other) = (canary.withoutRepeats, stable.withoutRepeats)
        guard mine.total > 0, other.total > 0 else { return }
        self.canary = self.canary + mine
        self.stable = self.stable + other
        if mine.bad > 0 { intervalsWithBad += 1 }
        guard mine.bad + other.bad > 0 else { return }
        let share = Double(mine.total) / Double(mine.total + other.total)
        let (ratios, logRatios) = (Self.ratios, Self.logRatios)
        for index in ratios.indices {
            let shifted = ratios[index] * share + 1 - share
            // pθ/w = θ/shifted and (1 - pθ)/(1 - w) = 1/shifted.
            logs[index] += Double(mine.bad) * logRatios[index] - Double(mine.bad + other.bad) * Real.ln(shifted)
        }
    }

    /// ln E.
    package var logEvidence: Double {
        let top = logs.max() ?? 0
        let sum = logs.reduce(0) { $0 + Real.exp($1 - top) }
        return top + Real.ln(sum / Double(logs.count))
    }

    /// - Parameter indicators: how many are compared for one release; the chance of a false alarm is shared.
    package func isWorse(indicators: Int, falseAlarmThousandths: Int) -> Bool {
        canary.bad >= Self.badMin && intervalsWithBad >= Self.intervalsMin
            && logEvidence >= Self.logNeeded(indicators: indicators, falseAlarmThousandths: falseAlarmThousandths)
    }

    package static func logNeeded(indicators: Int, falseAlarmThousandths: Int) -> Double {
        Real.ln(Double(max(1, indicators)) * 1000 / Double(max(1, falseAlarmThousandths)))
    }
}

extension Sample {
    /// With each caller's failure counted once.
    package var withoutRepeats: Sample { Sample(total: max(0, total - repeats), bad: max(0, bad - repeats)) }
}
