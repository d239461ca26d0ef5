internal import FoundationEssentials
internal import ReleaseGateCore

/// One indicator's failures by bucket of callers, gone through interval by interval on both sides together.
struct CallerEpisodes {
    /// The label that tells buckets apart.
    private static let bucketLabel = "bucket"

    private struct Interval {
        let end: Date
        let repeats: CallerTally.Failures
    }

    private var intervals: [Interval] = []

    /// Nobody is known.
    init() {}

    /// - Parameters:
    ///   - canary: the series of one side, and `stable` of the other.
    ///   - origin: a beginning of an interval; the others lie on its grid.
    init(
        canary: SelectorReading, stable: SelectorReading, from start: Date, to end: Date, on origin: Date,
        lookSeconds: Int
    ) {
        let sides = (Self.buckets(canary), Self.buckets(stable))
        let names = Set(sides.0.keys).union(sides.1.keys)
        var tally = CallerTally()
        var begin = EvidenceCollector.align(start, from: origin, every: lookSeconds)
        while case let stop = begin.addingTimeInterval(TimeInterval(lookSeconds)), stop <= end {
            var failures: [String: CallerTally.Failures] = [:]
            for name in names {
                failures[name] = CallerTally.Failures(
                    canary: Self.count(sides.0[name], begin, stop), stable: Self.count(sides.1[name], begin, stop))
            }
            let repeats = tally.close(failures, endSeconds: Int(stop.timeIntervalSince1970))
            if repeats != CallerTally.Failures() { intervals.append(Interval(end: stop, repeats: repeats)) }
            begin = stop
        }
    }

    /// What one side said of a window, with its repeats known.
    func applied(
        to reading: Reading, _ side: KeyPath<CallerTally.Failures, Int>, from start: Date, to end: Date
    ) -> Reading {
        guard let sample = reading.sample, sample.bad > 0 else { return reading }
        let repeats = intervals.reduce(0) { sum, interval in
            interval.end > start && interval.end <= end ? sum + interval.repeats[keyPath: side] : sum
        }
        return .counted(Sample(total: sample.total, bad: sample.bad, repeats: min(sample.bad, repeats)))
    }

    private static func buckets(_ reading: SelectorReading) -> [String: [Series]] {
        Dictionary(grouping: reading.series) { $0.labels[bucketLabel] ?? "" }
    }

    /// What cannot be counted is no repeat: it is judged as it always was.
    private static func count(_ series: [Series]?, _ start: Date, _ end: Date) -> Int {
        (series ?? []).reduce(0) { sum, series in
            guard case .counted(let increase) = series.increase(from: start, to: end) else { return sum }
            return sum + Int(bounded: increase)
        }
    }
}
