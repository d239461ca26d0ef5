internal import FoundationEssentials

/// What a selector's counters counted together, step by step on one grid: of a month of thousands of series one stays.
///
/// A value that falls is taken for a process that began again from zero, as everywhere over long windows.
struct CounterSum {
    /// Nobody counts more in a step. With more, what is added to it later would be lost to rounding.
    static let increaseMax = 1e12

    private struct Step {
        let at: Date
        /// NaN where a series has no number.
        var increase: Double
    }

    private let first: Date
    private let step: TimeInterval
    /// Nil where no series has a sample.
    private var steps: [Step?]
    /// Each series' newest number.
    private var last: [[String: String]: Double] = [:]
    /// Where the oldest of the series began that began within the grid.
    private var began: Date?

    init(from first: Date, to end: Date, step: TimeInterval) {
        self.first = first
        self.step = step
        steps = Array(repeating: nil, count: max(0, Int(bounded: end.timeIntervalSince(first) / step) + 1))
    }

    /// Takes a series' next piece. Pieces come in the order of time; two may both have the sample at their border.
    ///
    /// - Parameter zero: before a series' first sample ever, as `TargetLife` has it.
    mutating func add(_ piece: Series, zero: (_ first: Date) -> SeriesSample?) {
        var previous = last[piece.labels]
        for sample in piece.samples {
            let place = Int(bounded: sample.at.timeIntervalSince(first) / step)
            guard steps.indices.contains(place) else {
                // Not of the grid, and what the next one is counted from: the series did not begin there.
                if sample.value.isFinite { previous = sample.value }
                continue
            }
            var increase = Double.nan
            if sample.value.isFinite {
                if let previous {
                    increase = sample.value < previous ? sample.value : sample.value - previous
                } else if let origin = zero(sample.at) {
                    began = min(began ?? origin.at, origin.at)
                    increase = sample.value
                } else {
                    increase = 0
                }
                previous = sample.value
            }
            let bounded = increase.isFinite ? min(max(0, increase), Self.increaseMax) : .nan
            steps[place] = Step(at: sample.at, increase: (steps[place]?.increase ?? 0) + bounded)
        }
        last[piece.labels] = previous
    }

    /// One series, which only rises; none where there was none.
    var series: [Series] {
        let known = steps.compactMap { $0 }
        guard let oldest = known.first?.at else { return [] }
        var samples: [SeriesSample] = []
        samples.reserveCapacity(known.count + 1)
        if let began, began < oldest { samples.append(SeriesSample(at: began, value: 0)) }
        var sum = 0.0
        for step in known {
            if step.increase.isFinite { sum += min(step.increase, Self.increaseMax) }
            samples.append(SeriesSample(at: step.at, value: step.increase.isFinite ? sum : .nan))
        }
        return [Series(labels: [:], samples: samples)]
    }
}
