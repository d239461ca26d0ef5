internal import FoundationEssentials

/// When targets were scraped and when their processes began: by these it is known that a counter was not there yet.
///
/// A counter that appears has counted from zero, and what it had counted by its first sample belongs to the window,
/// too: the first failures of a kind are where a series begins.
struct TargetLife: Sendable {
    static let up = "up"
    static let processStart = "process_start_time_seconds"

    /// The series of `up`.
    let ups: [Series]
    /// The series of `process_start_time_seconds`.
    let starts: [Series]

    /// The same counter, with a zero where its target was last scraped without it, or else where its process began.
    /// Where neither lies after `start`, nobody looked in between, and nothing is known of when it began.
    func begun(_ counter: Series, after start: Date) -> Series {
        guard let first = counter.samples.first?.at, first > start, let zero = zero(of: counter, first, after: start)
        else { return counter }
        return Series(labels: counter.labels, samples: [SeriesSample(at: zero, value: 0)] + counter.samples)
    }

    private func zero(of counter: Series, _ first: Date, after start: Date) -> Date? {
        if let up = Self.series(ups, of: counter), let oldest = up.samples.first?.at, oldest < first,
            let scraped = up.samples.last(where: { $0.at < first && $0.value == 1 })
        {
            return scraped.at
        }
        guard let seconds = Self.series(starts, of: counter)?.last(by: first)?.value, seconds.isFinite else {
            return nil
        }
        let began = Date(timeIntervalSince1970: seconds)
        return began > start && began < first ? began : nil
    }

    /// That of the counter's own target: a scrape gives all its series the labels that `up` has.
    private static func series(_ all: [Series], of counter: Series) -> Series? {
        all.first { one in
            one.labels["instance"] != nil && one.labels.allSatisfy { counter.labels[$0.key] == $0.value }
        }
    }
}
