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
        guard found.count == blocking.count, let first = found.first?.1 else { return 0 }
        let greens = found.map { objective, intervals in
            greenEnds(objective, intervals, stepSeconds: stepSeconds)
        }
        var seconds = 0
        for (previous, current) in zip(first, first.dropFirst())
        where greens.allSatisfy({ $0.contains(current.endSeconds) }) {
            seconds += length(from: previous, to: current)
        }
        return seconds / 60
    }

    private static func length(
        from previous: IndicatorEvidence.Interval, to current: IndicatorEvidence.Interval
    ) -> Int {
        min(current.endSeconds - previous.endSeconds, intervalMaxSeconds)
    }

    /// The ends of the intervals with enough events in them, and those of the last step's time within budget.
    ///
    /// The sum moves along with the intervals: a soak of days is many of them.
    private static func greenEnds(
        _ objective: ServiceLevelObjective, _ intervals: [IndicatorEvidence.Interval], stepSeconds: Int
    ) -> Set<Int> {
        let floor = AbsoluteTest.floor(of: objective.budget)
        let counts = intervals.map { $0.canary.sample?.withoutRepeats ?? .none }
        var (total, bad, oldest) = (0, 0, 0)
        var ends: Set<Int> = []
        for (index, interval) in intervals.enumerated() {
            total += counts[index].total
            bad += counts[index].bad
            while oldest < index, intervals[oldest].endSeconds <= interval.endSeconds - stepSeconds {
                total -= counts[oldest].total
                bad -= counts[oldest].bad
                oldest += 1
            }
            guard index > 0, let sample = interval.canary.sample else { continue }
            let length = Self.length(from: intervals[index - 1], to: interval)
            guard sample.total * stepSeconds >= floor * length else { continue }
            let recent = AbsoluteTest(Sample(total: total, bad: bad), budget: objective.budget)
            if recent.isWithinBudget { ends.insert(interval.endSeconds) }
        }
        return ends
    }
}
