internal import Contracts
package import FoundationEssentials

/// Evidence from Prometheus' HTTP API, or whatever speaks it (Thanos, Mimir, VictoriaMetrics).
///
/// Asks for raw samples, not for `rate()` or `increase()`: those extrapolate, and say nothing of resets. Over long
/// windows it takes a sample every few minutes, which for a counter loses nothing but what was counted between the last
/// one and a restart.
package struct PrometheusSource: EvidenceSource {
    /// Windows up to here are read sample by sample: a look's window of hours, and the step before it with its
    /// extensions. A longer one would not show which targets were down, nor a silence of less than the look-back.
    static let rawWindowMax: TimeInterval = 12 * 3600
    /// How far before the window the last sample before it is looked for: Prometheus' own look-back.
    static let lookBack: TimeInterval = 300
    /// Prometheus answers at most 11,000 points of a series.
    static let pointsMax = 8_000.0
    static let stepMin: TimeInterval = 60
    /// Labels that the scrape gives a series, not the program: by them `up` says which targets are down.
    static let targetLabels: Set<String> = [
        "job", "instance", "namespace", "service", "pod", "container", "cluster", "track", "version", "env",
    ]

    package let name: String
    private let base: String
    private let fetch: HTTPFetch

    /// - Parameter token: sent as a bearer token. Secret.
    package init(url: String, token: String? = nil) {
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        name = "Prometheus at \(HTTPFetch.place(base))"
        fetch = HTTPFetch(headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
    }

    package func read(
        _ selectors: [SeriesSelector], from start: Date, to end: Date
    ) async throws(GateError) -> [SelectorReading] {
        var readings: [SelectorReading] = []
        var gaps: [SeriesSelector: [SelectorReading.Gap]] = [:]
        for selector in selectors {
            var reading = try await samples(of: selector, from: start, to: end)
            let target = Self.target(of: selector)
            let known = gaps[target]
            let found = if let known { known } else { try await downTargets(target, from: start, to: end) }
            gaps[target] = found
            reading.gaps += found
            readings.append(reading)
        }
        return readings
    }

    private func samples(
        of selector: SeriesSelector, from start: Date, to end: Date
    ) async throws(GateError) -> SelectorReading {
        let window = Self.window(from: start, to: end)
        if window <= Self.rawWindowMax {
            let seconds = Int((window + Self.lookBack).rounded(.up))
            return try await ask("query", ["query": "\(selector)[\(seconds)s]", "time": Self.text(end)])
        }
        let step = max(Self.stepMin, (window / Self.pointsMax).rounded(.up))
        return try await ask(
            "query_range",
            [
                "query": selector.description, "start": Self.text(start), "end": Self.text(end),
                "step": "\(Int(step))",
            ])
    }

    /// When targets of the selector were down. In long windows nobody asks: they are about budgets, not about now.
    private func downTargets(
        _ target: SeriesSelector, from start: Date, to end: Date
    ) async throws(GateError) -> [SelectorReading.Gap] {
        let window = Self.window(from: start, to: end)
        guard !target.matchers.isEmpty, window <= Self.rawWindowMax else { return [] }
        let ups = try await ask(
            "query", ["query": "\(target)[\(Int(window.rounded(.up)))s]", "time": Self.text(end)])
        return ups.series.flatMap { series in
            series.samples.filter { $0.value == 0 }.map { sample in
                let others = ups.series.filter { $0 != series && ($0.last(by: sample.at)?.value ?? 0) == 1 }
                return SelectorReading.Gap(
                    at: sample.at, answered: others.count, targets: ups.series.count,
                    reason: "\(Self.place(series.labels)) could not be scraped")
            }
        }
    }

    /// To the millisecond: what is taken from a moment and added again is not the same to the last bit.
    private static func window(from start: Date, to end: Date) -> TimeInterval {
        (end.timeIntervalSince(start) * 1000).rounded() / 1000
    }

    private static func place(_ labels: [String: String]) -> String {
        labels["pod"] ?? labels["instance"] ?? "a target"
    }

    static func target(of selector: SeriesSelector) -> SeriesSelector {
        SeriesSelector(metric: "up", matchers: selector.matchers.filter { targetLabels.contains($0.label) })
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
        for var element in try data.optionalObjects("result", atMost: SampleHistory.seriesMax) ?? [] {
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
