internal import FoundationEssentials

/// When targets were scraped and when their processes began: by these it is known that a counter was not there yet.
///
/// A counter that appears has counted from zero, and what it had counted by its first sample belongs to the window,
/// too: the first failures of a kind are where a series begins.
struct TargetLife: Sendable {
    static let up = "up"
    static let processStart = "process_start_time_seconds"

    /// The series of `up`, by instance: those of months are many.
    private let ups: [String: [Series]]
    /// The series of `process_start_time_seconds`, by instance.
    private let starts: [String: [Series]]

    init(ups: [Series], starts: [Series]) {
        self.ups = Self.byInstance(ups)
        self.starts = Self.byInstance(starts)
    }

    /// Whether a metric is about targets: there is one series of it for each, not hundreds.
    static func isAbout(_ metric: String) -> Bool { [up, processStart].contains(metric) }

    /// Gives the counter a zero where its target was last scraped without it, or else where its process began.
    func begin(_ counter: inout Series, after start: Date) {
        guard let first = counter.samples.first?.at, let zero = zero(of: counter.labels, before: first, after: start)
        else { return }
        counter.samples.insert(zero, at: 0)
    }

    /// The zero before the first sample of a counter. Where neither scrape nor process lies after `start`, nobody
    /// looked in between, and nothing is known of when it began.
    func zero(of labels: [String: String], before first: Date, after start: Date) -> SeriesSample? {
        guard first > start else { return nil }
        if let up = Self.series(ups, of: labels), let oldest = up.samples.first?.at, oldest < first,
            let scraped = up.samples.last(where: { $0.at < first && $0.value == 1 })
        {
            return SeriesSample(at: scraped.at, value: 0)
        }
        guard let seconds = Self.series(starts, of: labels)?.last(by: first)?.value, seconds.isFinite else {
            return nil
        }
        let began = Date(timeIntervalSince1970: seconds)
        return began > start && began < first ? SeriesSample(at: began, value: 0) : nil
    }

    private static func byInstance(_ all: [Series]) -> [String: [Series]] {
        Dictionary(grouping: all.filter { $0.labels["instance"] != nil }) { $0.labels["instance"] ?? "" }
    }

    /// That of the counter's own target: a scrape gives all its series the labels that `up` has.
    private static func series(_ all: [String: [Series]], of labels: [String: String]) -> Series? {
        all[labels["instance"] ?? ""]?.first { one in one.labels.allSatisfy { labels[$0.key] == $0.value } }
    }
}
