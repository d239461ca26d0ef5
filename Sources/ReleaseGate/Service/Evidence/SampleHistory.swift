package import Contracts
package import FoundationEssentials

/// Samples that were taken, by metric and labels: what the gate remembers of its own scrapes, and what a file of
/// recorded evidence holds. Reading it is reading a source.
package struct SampleHistory: Sendable, Equatable {
    struct Key: Sendable, Hashable {
        let metric: String
        let labels: [String: String]
    }

    /// Samples of one series beyond these drop the oldest.
    static let samplesMax = 20_000
    static let seriesMax = 100_000

    private(set) var series: [Key: [SeriesSample]] = [:]
    /// Rounds of scrapes in which a target gave nothing: evidence of such a window is partial.
    private(set) var brokenRounds: [Round] = []

    /// One round: every target, and why it gave nothing.
    package struct Round: Sendable, Equatable {
        package struct Target: Sendable, Equatable {
            /// The labels that its series have, or would have had.
            package let labels: [String: String]
            /// Nil when it answered.
            package let failure: String?

            package init(labels: [String: String], failure: String?) {
                self.labels = labels
                self.failure = failure
            }
        }

        package let at: Date
        package let targets: [Target]

        package init(at: Date, targets: [Target]) {
            self.at = at
            self.targets = targets
        }
    }

    package init() {}

    /// The oldest sample's time.
    package var first: Date? { series.values.compactMap { $0.first?.at }.min() }

    package mutating func add(_ metric: String, _ labels: [String: String], _ sample: SeriesSample) {
        let key = Key(metric: metric, labels: labels)
        guard series[key] != nil || series.count < Self.seriesMax else { return }
        // A clock that was set back must not make time run backwards within a series.
        if let last = series[key]?.last, last.at >= sample.at { return }
        series[key, default: []].append(sample)
        if let count = series[key]?.count, count > Self.samplesMax {
            series[key]?.removeFirst(count - Self.samplesMax)
        }
    }

    package mutating func add(_ round: Round) {
        guard round.targets.contains(where: { $0.failure != nil }) else { return }
        brokenRounds.append(round)
        if brokenRounds.count > Self.samplesMax { brokenRounds.removeFirst(brokenRounds.count - Self.samplesMax) }
    }

    /// Forgets what is older, but for each series' last sample before it, from which its increase counts on.
    package mutating func forget(before date: Date) {
        for (key, samples) in series {
            let first = samples.lastIndex { $0.at <= date } ?? samples.startIndex
            if first == samples.endIndex - 1, samples[first].at < date.addingTimeInterval(-Self.goneAfter) {
                series[key] = nil
            } else if first > samples.startIndex {
                series[key] = Array(samples[first...])
            }
        }
        brokenRounds.removeAll { $0.at < date }
    }

    /// A series without a sample for so long belongs to a process that is gone.
    private static let goneAfter: TimeInterval = 3600

    package func read(_ selector: SeriesSelector, from start: Date, to end: Date) -> SelectorReading {
        let life = CounterReading.isCounter(selector.metric) ? targetLife : nil
        var found: [Series] = []
        for (key, samples) in series where key.metric == selector.metric && selector.matches(key.labels) {
            let first = samples.lastIndex { $0.at <= start } ?? samples.startIndex
            let window = samples[first...].prefix { $0.at <= end }
            // What ended before the window began has no part in it.
            guard let last = window.last, last.at > start else { continue }
            var series = Series(labels: key.labels, samples: Array(window))
            life?.begin(&series, after: start)
            found.append(series)
        }
        found.sort { Self.text($0.labels) < Self.text($1.labels) }
        let rounds = brokenRounds.filter { $0.at > start && $0.at <= end }
        return SelectorReading(series: found, gaps: rounds.compactMap { Self.gap(of: selector, in: $0) })
    }

    private var targetLife: TargetLife {
        func all(_ metric: String) -> [Series] {
            series.filter { $0.key.metric == metric }.map { Series(labels: $0.key.labels, samples: $0.value) }
        }
        return TargetLife(ups: all(TargetLife.up), starts: all(TargetLife.processStart))
    }

    private static func gap(of selector: SeriesSelector, in round: Round) -> SelectorReading.Gap? {
        let targets = round.targets.filter { couldMatch(selector, $0.labels) }
        guard let reason = targets.compactMap(\.failure).first else { return nil }
        let answered = targets.count { $0.failure == nil }
        return SelectorReading.Gap(at: round.at, answered: answered, targets: targets.count, reason: reason)
    }

    /// Whether a target with these labels could have such series: no condition on a label that it has fails.
    private static func couldMatch(_ selector: SeriesSelector, _ labels: [String: String]) -> Bool {
        let known = selector.matchers.filter { labels[$0.label] != nil }
        return SeriesSelector(metric: selector.metric, matchers: known).matches(labels)
    }

    private static func text(_ labels: [String: String]) -> String {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\u{1F}")
    }
}

extension SampleHistory {
    /// The form of a file of recorded evidence; docs/releasing.md describes it.
    package var json: JSON {
        JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field(
                "series",
                array: { writer in
                    let sorted = series.sorted {
                        ($0.key.metric, Self.text($0.key.labels)) < ($1.key.metric, Self.text($1.key.labels))
                    }
                    for (key, samples) in sorted {
                        writer.element(object: { Self.write(key, samples, to: &$0) })
                    }
                })
            writer.field(
                "broken_rounds",
                array: { writer in
                    for round in brokenRounds { writer.element(object: { Self.write(round, to: &$0) }) }
                })
        }
    }

    private static func write(_ round: Round, to writer: inout JSONWriter) {
        writer.field("at", round.at.timeIntervalSince1970)
        writer.field(
            "targets",
            array: { writer in
                for target in round.targets {
                    writer.element(object: { writer in
                        write(target.labels, to: &writer)
                        writer.field(ifPresent: "failure", target.failure)
                    })
                }
            })
    }

    private static func write(_ labels: [String: String], to writer: inout JSONWriter) {
        writer.field(
            "labels",
            object: { writer in
                for (label, value) in labels.sorted(by: { $0.key < $1.key }) { writer.field(label, value) }
            })
    }

    /// A sample is a time in seconds and a value in text, which can be NaN.
    private static func write(_ key: Key, _ samples: [SeriesSample], to writer: inout JSONWriter) {
        writer.field("metric", key.metric)
        write(key.labels, to: &writer)
        writer.field(
            "samples",
            array: { writer in
                for sample in samples {
                    writer.element(object: { writer in
                        writer.field("t", sample.at.timeIntervalSince1970)
                        writer.field("v", PrometheusNumber.text(sample.value))
                    })
                }
            })
    }

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        guard try reader.int("v") == 1 else { throw reader.error("v", "is a version that this build does not know") }
        let list = try reader.optionalObjects("series", atMost: Self.seriesMax) ?? []
        for var element in list {
            let metric = try element.string("metric")
            let labels = try Self.labels(&element)
            for var sample in try element.optionalObjects("samples", atMost: Self.samplesMax) ?? [] {
                guard let seconds = try sample.optionalDouble("t"),
                    let value = PrometheusNumber.value(try sample.string("v"))
                else { throw sample.error("v", "must be a number in text, and t a number of seconds") }
                add(metric, labels, SeriesSample(at: Date(timeIntervalSince1970: seconds), value: value))
            }
        }
        for var element in try reader.optionalObjects("broken_rounds", atMost: Self.samplesMax) ?? [] {
            guard let at = try element.optionalDouble("at") else { throw element.error("at", "is required") }
            var targets: [Round.Target] = []
            for var target in try element.optionalObjects("targets", atMost: Self.seriesMax) ?? [] {
                let labels = try Self.labels(&target)
                targets.append(Round.Target(labels: labels, failure: try target.optionalString("failure")))
            }
            add(Round(at: Date(timeIntervalSince1970: at), targets: targets))
        }
    }

    private static func labels(_ reader: inout JSONReader) throws(JSONError) -> [String: String] {
        var labels: [String: String] = [:]
        for field in reader.optional("labels")?.fields ?? [] {
            guard let value = field.value.string else { throw reader.error("labels.\(field.name)", "must be a string") }
            labels[field.name] = value
        }
        return labels
    }
}
