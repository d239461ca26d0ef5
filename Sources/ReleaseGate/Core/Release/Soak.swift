/// Time that a version has proven itself: minutes count only with traffic above the floor and objectives green. A quiet
/// night is no soak.
package enum Soak {
    /// Longer gaps between intervals than this count as that much.
    private static let intervalMaxSeconds = 120

    /// - Parameter stepSeconds: the time in which an objective's floor of events must come.
    package static func minutes(
        of indicators: [IndicatorEvidence], objectives: [ServiceLevelObjective], stepSeconds: Int
    ) -> Int {
        let blocking = objectives.filter { $0.class == .blocking }
        let found = blocking.compactMap { objective in
            indicators.first { $0.objective == objective.name }.map { (objective, $0.intervals) }
        }
        guard found.count == blocking.count, let first = found.first else { return 0 }
        var seconds = 0
        for (previous, current) in zip(first.1, first.1.dropFirst()) {
            let length = min(current.endSeconds - previous.endSeconds, intervalMaxSeconds)
            let isGreen = found.allSatisfy { objective, intervals in
                isGood(objective, intervals, at: current.endSeconds, length: length, stepSeconds: stepSeconds)
            }
            if isGreen { seconds += length }
        }
        return seconds / 60
    }

    /// Enough events in the interval, and those of the last step's time within budget.
    private static func isGood(
        _ objective: ServiceLevelObjective, _ intervals: [IndicatorEvidence.Interval], at endSeconds: Int,
        length: Int, stepSeconds: Int
    ) -> Bool {
        guard let sample = intervals.first(where: { $0.endSeconds == endSeconds })?.canary.sample else { return false }
        let floor = AbsoluteTest.floor(of: objective.budget)
        guard sample.total * stepSeconds >= floor * length else { return false }
        let recent = intervals.filter { $0.endSeconds <= endSeconds && $0.endSeconds > endSeconds - stepSeconds }
        let sum = recent.reduce(Sample.none) { $0 + ($1.canary.sample?.withoutRepeats ?? .none) }
        return AbsoluteTest(sum, budget: objective.budget).isWithinBudget
    }
}
