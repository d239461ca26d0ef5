internal import Contracts
package import FoundationEssentials
internal import Synchronization

/// Evidence from Prometheus' HTTP API, or whatever speaks it (Thanos, Mimir, VictoriaMetrics).
///
/// Asks for raw samples, not for `rate()` or `increase()`: those extrapolate, and say nothing of resets. Over long
/// windows it takes a sample every few minutes, which for a counter loses nothing but what was counted between the last
/// one and a restart, and answers with all of a selector's counters added up (`CounterSum`). What began within a window
/// has counted from zero (`TargetLife`).
package struct PrometheusSource: EvidenceSource {
    /// Windows up to here are read sample by sample: a look's window of hours, and the step before it with its
    /// extensions. A longer one would not show which targets were down, nor a silence of less than the look-back.
    static let rawWindowMax: TimeInterval = 12 * 3600
    /// They are read piece by piece, so that an answer stays small: scraped every 15 s, 2,500 series fit into one.
    static let pieceMax: TimeInterval = 4 * 3600
    /// A piece of more series is asked for in halves, down to here.
    static let pieceMin: TimeInterval = 600
    /// How far before the window the last sample before it is looked for: Prometheus' own look-back.
    static let lookBack: TimeInterval = 300
    /// Longer windows are read in pieces of up to so much, each of so many points: what a process counted that crashed
    /// again and again is seen. At some 26 bytes a point, 2,500 series fit into an answer.
    static let sparsePieceMax: TimeInterval = 3 * 86_400
    static let pointsMax = 1000.0
    static let stepMin: TimeInterval = 60
    /// Targets are few, each with one series: so many points of them come at once. Prometheus gives 11,000 at most.
    static let targetPointsMax = 10_000.0
    /// Labels that the scrape gives a series, not the program: by them `up` says which targets are down.
    static let targetLabels: Set<String> = [
        "job", "instance", "namespace", "service", "pod", "container", "cluster", "track", "version", "env",
    ]

    package let name: String
    private let base: String
    /// Whose bound tests lower.
    var fetch: HTTPFetch
    private var labels: [SeriesSelector.Matcher] = []
    /// What was learned of targets in one look; nil outside of one.
    private var memory: Memory?

    /// - Parameter token: sent as a bearer token. Secret.
    package init(url: String, token: String? = nil) {
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        name = "Prometheus at \(HTTPFetch.place(base))"
        fetch = HTTPFetch(headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
    }

    /// The same, of one namespace's series alone: environments that share a Prometheus do not mix.
    package func within(namespace: String) -> PrometheusSource {
        var source = self
        source.labels = [SeriesSelector.Matcher("namespace", .equal, namespace)]
        return source
    }

    package func forOneLook() -> any EvidenceSource {
        var source = self
        source.memory = Memory()
        return source
    }

    package func read(
        _ selectors: [SeriesSelector], from start: Date, to end: Date
    ) async throws(GateError) -> [SelectorReading] {
        let span = Span(from: start, to: end)
        let memory = memory ?? Memory()
        var known: [SeriesSelector: SelectorReading] = [:]
        var readings: [SelectorReading] = []
        for wanted in selectors {
            let selector = labels.reduce(wanted) { $0.adding($1) }
            let reading: SelectorReading
            if let one = known[selector] {
                reading = one
            } else {
                reading = try await self.reading(of: selector, span, memory)
                known[selector] = reading
            }
            readings.append(reading)
        }
        return readings
    }

    /// Of a counter also what is known of its targets: when they were down, and where it began. In long windows nobody
    /// asks who was down: they are about budgets, not about now.
    private func reading(
        of selector: SeriesSelector, _ span: Span, _ memory: Memory
    ) async throws(GateError) -> SelectorReading {
        guard CounterReading.isCounter(selector.metric) else {
            guard TargetLife.isAbout(selector.metric) else { return try await whole(selector, span) }
            return try await targets(selector, span, memory)
        }
        let matchers = selector.matchers.filter { Self.targetLabels.contains($0.label) }
        var ups: [Series] = []
        var life: TargetLife?
        if !matchers.isEmpty {
            let up = SeriesSelector(metric: TargetLife.up, matchers: matchers)
            let start = SeriesSelector(metric: TargetLife.processStart, matchers: matchers)
            ups = try await targets(up, span, memory).series
            life = TargetLife(ups: ups, starts: try await targets(start, span, memory).series)
        }
        guard span.isRaw else { return try await sum(of: selector, span, life) }
        var reading = try await whole(selector, span)
        reading.gaps += Self.gaps(ups)
        if let life {
            for index in reading.series.indices { life.begin(&reading.series[index], after: span.first) }
        }
        return reading
    }

    /// What is about targets is the same for all their counters: it is asked for once in a look.
    private func targets(
        _ selector: SeriesSelector, _ span: Span, _ memory: Memory
    ) async throws(GateError) -> SelectorReading {
        let key = Memory.Key(
            metric: selector.metric, matchers: Set(selector.matchers), first: span.first, end: span.end)
        if let known = memory[key] { return known }
        let reading = try await whole(selector, span)
        memory[key] = reading
        return reading
    }

    private final class Memory: Sendable {
        struct Key: Sendable, Hashable {
            let metric: String
            let matchers: Set<SeriesSelector.Matcher>
            let first: Date
            let end: Date
        }

        private let known = Mutex<[Key: SelectorReading]>([:])

        subscript(key: Key) -> SelectorReading? {
            get { known.withLock { $0[key] } }
            set { known.withLock { $0[key] = newValue } }
        }
    }

    /// What is asked for in one read, as it is asked for.
    private struct Span {
        let isRaw: Bool
        /// The moment of the oldest sample there can be.
        let first: Date
        let end: Date
        let step: TimeInterval

        init(from start: Date, to end: Date) {
            // To the millisecond: what is taken from a moment and added again is not the same to the last bit.
            let window = (end.timeIntervalSince(start) * 1000).rounded() / 1000
            isRaw = window <= PrometheusSource.rawWindowMax
            let piece = min(window, PrometheusSource.sparsePieceMax)
            step = max(PrometheusSource.stepMin, (piece / PrometheusSource.pointsMax).rounded(.up))
            self.end = end
            // The last of the steps ends with the window: what counts most is what was last.
            first =
                isRaw
                ? start.addingTimeInterval(-PrometheusSource.lookBack)
                : end.addingTimeInterval(-step * (window / step).rounded(.up))
        }

        /// How long a piece may be whose answer is as large as expected; of whole steps, so that all are on one grid.
        func pieceLength(of metric: String) -> TimeInterval {
            let isAboutTargets = TargetLife.isAbout(metric)
            if isRaw {
                return isAboutTargets
                    ? PrometheusSource.rawWindowMax + PrometheusSource.lookBack : PrometheusSource.pieceMax
            }
            return isAboutTargets
                ? PrometheusSource.targetPointsMax * step
                : (PrometheusSource.sparsePieceMax / step).rounded(.down) * step
        }

        /// Half of a piece, on the same grid.
        func half(_ length: TimeInterval) -> TimeInterval {
            isRaw ? length / 2 : max(1, ((length / step).rounded() / 2).rounded(.down)) * step
        }
    }

    /// Reads a selector piece by piece, the oldest first. Where an answer is too large, that piece and those after it
    /// are asked for in halves.
    private func pieces(
        of selector: SeriesSelector, _ span: Span, _ take: (SelectorReading) -> Void
    ) async throws(GateError) {
        var length = span.pieceLength(of: selector.metric)
        var start = span.first
        while start < span.end {
            let end = min(start.addingTimeInterval(length), span.end)
            do {
                take(try await piece(of: selector, span, from: start, to: end))
                start = end
            } catch {
                let asked = end.timeIntervalSince(start)
                guard HTTPFetch.isTooLarge(error), asked > Self.pieceMin else { throw error }
                length = span.half(asked)
            }
        }
    }

    /// A selector's series with all their samples.
    private func whole(_ selector: SeriesSelector, _ span: Span) async throws(GateError) -> SelectorReading {
        var whole = SelectorReading(series: [])
        var places: [[String: String]: Int] = [:]
        try await pieces(of: selector, span) { Self.append($0, to: &whole, &places) }
        return whole
    }

    /// A selector's counters added up, piece by piece: what is added is not kept.
    private func sum(
        of selector: SeriesSelector, _ span: Span, _ life: TargetLife?
    ) async throws(GateError) -> SelectorReading {
        var sum = CounterSum(from: span.first, to: span.end, step: span.step)
        var gaps: [SelectorReading.Gap] = []
        try await pieces(of: selector, span) { piece in
            for series in piece.series {
                sum.add(series) { life?.zero(of: series.labels, before: $0, after: span.first) }
            }
            gaps += piece.gaps
        }
        return SelectorReading(series: sum.series, gaps: gaps)
    }

    private func piece(
        of selector: SeriesSelector, _ span: Span, from start: Date, to end: Date
    ) async throws(GateError) -> SelectorReading {
        guard span.isRaw else {
            return try await ask(
                "query_range",
                [
                    "query": selector.description, "start": Self.text(start), "end": Self.text(end),
                    "step": "\(Int(span.step))",
                ])
        }
        let seconds = Int(end.timeIntervalSince(start).rounded(.up))
        return try await ask("query", ["query": "\(selector)[\(seconds)s]", "time": Self.text(end)])
    }

    /// - Parameter places: of the series, by their labels.
    private static func append(
        _ piece: SelectorReading, to whole: inout SelectorReading, _ places: inout [[String: String]: Int]
    ) {
        for series in piece.series {
            if let place = places[series.labels] {
                // Both pieces have the sample at their border.
                let newest = whole.series[place].samples.last?.at ?? .distantPast
                whole.series[place].samples += series.samples.drop { $0.at <= newest }
            } else {
                places[series.labels] = whole.series.count
                whole.series.append(series)
            }
        }
        whole.gaps += piece.gaps
    }

    /// When targets were down, by what each scrape of them came to.
    private static func gaps(_ ups: [Series]) -> [SelectorReading.Gap] {
        ups.flatMap { series in
            series.samples.filter { $0.value == 0 }.map { sample in
                let others = ups.filter { $0 != series && ($0.last(by: sample.at)?.value ?? 0) == 1 }
                return SelectorReading.Gap(
                    at: sample.at, answered: others.count, targets: ups.count,
                    reason: "\(place(series.labels)) could not be scraped")
            }
        }
    }

    private static func place(_ labels: [String: String]) -> String {
        labels["pod"] ?? labels["instance"] ?? "a target"
    }

    private func ask(_ call: String, _ parameters: [String: String]) async throws(GateError) -> SelectorReading {
        let form = parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\(HTTPFetch.encode($0.value))" }
        let answer = try await fetch(
            "\(base)/api/v1/\(call)", body: Array(form.joined(separator: "&").utf8),
            contentType: "application/x-www-form-urlencoded")
        do {
            return try Self.reading(try JSON(parsing: answer.bytes))
        } catch {
            let query = parameters["query"] ?? ""
            if let error = error as? GateError {
                throw GateError(error.code, "\(name), asked for \(query): \(error.message)")
            }
            throw GateError(
                .badAnswer, "\(name) answered with status \(answer.status) and something else than its API's JSON.",
                next: "Check that the address is Prometheus' own.", underlying: error)
        }
    }

    /// `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{…},"values":[[seconds,"value"]]}]}}`
    static func reading(_ json: JSON) throws -> SelectorReading {
        var reader = try JSONReader(json)
        guard try reader.string("status") == "success" else {
            throw GateError(.badAnswer, try reader.optionalString("error") ?? "it refused the query")
        }
        var data = try JSONReader(try reader.required("data"), path: "data")
        guard try data.string("resultType") == "matrix" else { throw data.error("resultType", "must be matrix") }
        var series: [Series] = []
        for result in try data.optionalArray("result") ?? [] {
            // One by one: all of them taken apart would be many times what was sent.
            var element = try JSONReader(result, path: "data.result")
            var labels: [String: String] = [:]
            for field in element.optional("metric")?.fields ?? [] where field.name != "__name__" {
                labels[field.name] = field.value.string
            }
            let values = try element.optionalArray("values") ?? []
            let samples = values.compactMap { PrometheusNumber.sample($0) }
            guard samples.count == values.count else { throw element.error("values", "holds a pair of another kind") }
            series.append(Series(labels: labels, samples: samples))
        }
        // Warnings are how Thanos says that a store did not answer.
        let warnings = try reader.optionalStrings("warnings") ?? []
        let end = series.compactMap { $0.samples.last?.at }.max() ?? Date(timeIntervalSince1970: 0)
        let gaps = warnings.map { SelectorReading.Gap(at: end, answered: 0, targets: 1, reason: $0) }
        return SelectorReading(series: series, gaps: gaps)
    }

    private static func text(_ date: Date) -> String { "\(date.timeIntervalSince1970)" }
}
