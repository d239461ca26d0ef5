package import FoundationEssentials

/// What counters counted in a window, or why that cannot be said. The reasons are told apart, because each needs
/// something else of whoever reads them.
package enum CounterReading: Sendable, Equatable {
    case counted(Double)
    /// No series at all.
    case missing
    /// The newest sample is that old.
    case stale(ageSeconds: Int)
    case notANumber
    /// A series began again from zero: what it had counted since its last sample is lost.
    case reset
    case partial(SelectorReading.Gap)

    /// A series that has not been read for so long says nothing of now: three scrapes of 30 s were missed.
    package static let staleAfter: TimeInterval = 90

    /// Whether a metric is a counter: by its name, as the exposition formats prescribe.
    static func isCounter(_ metric: String) -> Bool {
        ["_total", "_count", "_bucket", "_sum"].contains { metric.hasSuffix($0) }
    }

    /// Adds up the increases of all series in a window (`start`, `end`].
    ///
    /// A series that appears within the window counts from its first sample on, unless the source has put a zero
    /// before it.
    /// - Parameters:
    ///   - spansRestarts: a value that falls is taken for a process that began again from zero (Prometheus' own
    ///     rule) instead of for a reason not to count.
    ///   - spansGaps: what answered is counted although not everything did: at least that much was.
    package init(
        _ reading: SelectorReading, from start: Date, to end: Date, staleAfter: TimeInterval = staleAfter,
        spansRestarts: Bool = false, spansGaps: Bool = false
    ) {
        let gap = spansGaps ? nil : reading.worstGap(from: start, to: end)
        guard let newest = reading.series.compactMap({ $0.last(by: end)?.at }).max() else {
            self = gap.map { .partial($0) } ?? .missing
            return
        }
        let age = end.timeIntervalSince(newest)
        guard age <= staleAfter else {
            self = .stale(ageSeconds: Int(bounded: age))
            return
        }
        if let gap {
            self = .partial(gap)
            return
        }
        var total = 0.0
        for series in reading.series {
            switch series.increase(from: start, to: end, spansRestarts: spansRestarts) {
            case .counted(let increase): total += increase
            case .missing: continue
            case let other:
                self = other
                return
            }
        }
        self = .counted(total)
    }
}

extension Series {
    /// The last sample at a moment or before it.
    package func last(by end: Date) -> SeriesSample? {
        let index = firstIndex(after: end)
        return index > 0 ? samples[index - 1] : nil
    }

    /// What the series counted after `start`, up to `end`.
    func increase(from start: Date, to end: Date, spansRestarts: Bool = false) -> CounterReading {
        let first = max(0, firstIndex(after: start) - 1)
        let window = samples[first..<max(first, firstIndex(after: end))]
        guard var previous = window.first else { return .missing }
        var increase = 0.0
        for sample in window {
            guard sample.value.isFinite else { return .notANumber }
            let fell = sample.value < previous.value
            if fell, !spansRestarts { return .reset }
            increase += fell ? sample.value : sample.value - previous.value
            previous = sample
        }
        return .counted(increase)
    }

    /// The place of the first sample after a moment: binary search, because windows are cut out of long series often.
    private func firstIndex(after moment: Date) -> Int {
        var low = 0
        var high = samples.count
        while low < high {
            let middle = (low + high) / 2
            if samples[middle].at <= moment { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// What a gauge says at a moment: one number over all its series.
package enum GaugeReading: Sendable, Equatable {
    case value(Double)
    case missing
    case stale(ageSeconds: Int)
    case notANumber

    package init(
        _ reading: SelectorReading, at end: Date, staleAfter: TimeInterval = CounterReading.staleAfter,
        combine: ([Double]) -> Double
    ) {
        let last = reading.series.compactMap { $0.last(by: end) }
        guard let newest = last.map(\.at).max() else {
            self = .missing
            return
        }
        let age = end.timeIntervalSince(newest)
        guard age <= staleAfter else {
            self = .stale(ageSeconds: Int(bounded: age))
            return
        }
        // A series that ended earlier belongs to a process that is gone.
        let values = last.filter { end.timeIntervalSince($0.at) <= staleAfter }.map(\.value)
        self = values.allSatisfy(\.isFinite) ? .value(combine(values)) : .notANumber
    }
}
