package import FoundationEssentials
internal import NIOCore
internal import Synchronization

/// One address that answers with metrics, and the labels its series get besides their own.
package struct ScrapeTarget: Sendable, Equatable {
    package let url: String
    package let labels: [String: String]

    /// The label `instance` is the address unless it is given, as Prometheus has it: two targets never share a series.
    package init(url: String, labels: [String: String] = [:]) {
        self.url = url
        let place = url.firstRange(of: "://").map { url[$0.upperBound...].prefix { $0 != "/" } } ?? ""
        self.labels = ["instance": String(place)].merging(labels) { _, given in given }
    }

    /// `http://host:port/metrics`, or with labels before it: `job=orchestrator,track=canary@http://…`.
    package init(parsing text: String) throws(GateError) {
        guard let scheme = text.firstRange(of: "http"), text.contains("://") else {
            throw GateError(.invalid, "\(text) is no target.", next: "Write [label=value,…@]http://host:port/metrics")
        }
        var labels: [String: String] = [:]
        let head = text[..<scheme.lowerBound]
        guard head.isEmpty || head.hasSuffix("@") else {
            throw GateError(.invalid, "\(text) is no target.", next: "Write [label=value,…@]http://host:port/metrics")
        }
        for pair in head.dropLast().split(separator: ",") {
            let halves = pair.split(separator: "=", maxSplits: 1)
            guard halves.count == 2 else { throw GateError(.invalid, "\(pair) in \(text) is not label=value.") }
            labels[String(halves[0])] = String(halves[1])
        }
        self.init(url: String(text[scheme.lowerBound...]), labels: labels)
    }
}

/// Evidence without Prometheus: asks the programs themselves for their metrics and remembers what they said.
///
/// A counter begins with its process, so a series that is seen for the first time gets a zero where its process
/// started, or where its target was scraped before without it: nothing is lost to a first look.
package final class ScrapeSource: EvidenceSource {
    package let name: String
    private let targets: [ScrapeTarget]
    private let fetch: HTTPFetch
    private let state: Mutex<State>

    fileprivate struct State {
        var history: SampleHistory
        /// By target: when it was scraped last, and when its process had started.
        var seen: [String: (at: Date, started: Double?)] = [:]
    }

    /// - Parameter history: what earlier runs remembered.
    package init(targets: [ScrapeTarget], history: SampleHistory = SampleHistory(), token: String? = nil) {
        self.targets = targets
        name = targets.count == 1 ? HTTPFetch.place(targets[0].url) : "\(targets.count) scraped targets"
        fetch = HTTPFetch(headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
        state = Mutex(State(history: history))
    }

    /// What it remembers, to be kept and recorded.
    package var history: SampleHistory { state.withLock { $0.history } }

    /// Asks every target once. One that gives nothing, or not everything, is remembered as such.
    package func scrape(at now: Date) async {
        var outcomes: [SampleHistory.Round.Target] = []
        for target in targets {
            var failure: String?
            do throws(GateError) {
                let answer = try await fetch(target.url, timeout: .seconds(10))
                guard answer.status == 200 else {
                    throw GateError(.badAnswer, "\(HTTPFetch.place(target.url)) answered with status \(answer.status).")
                }
                let text = try MetricsText(parsing: answer.text, from: HTTPFetch.place(target.url))
                state.withLock { $0.add(text, of: target, at: now) }
            } catch {
                failure = error.message
            }
            // As Prometheus does, so that readiness reads the same from both.
            let up = SeriesSample(at: now, value: failure == nil ? 1 : 0)
            state.withLock { $0.history.add(TargetLife.up, target.labels, up) }
            outcomes.append(SampleHistory.Round.Target(labels: target.labels, failure: failure))
        }
        let round = SampleHistory.Round(at: now, targets: outcomes)
        state.withLock { $0.history.add(round) }
    }

    package func read(
        _ selectors: [SeriesSelector], from start: Date, to end: Date
    ) async throws(GateError) -> [SelectorReading] {
        let history = history
        return selectors.map { history.read($0, from: start, to: end) }
    }

    /// Lets go of what no window reaches any more.
    package func forget(before date: Date) { state.withLock { $0.history.forget(before: date) } }
}

extension ScrapeSource.State {
    /// Nil for what no process can have begun at: a page may say anything.
    private static func start(_ seconds: Double) -> Date? {
        seconds.isFinite && seconds >= 0 ? Date(timeIntervalSince1970: seconds) : nil
    }

    fileprivate mutating func add(_ text: MetricsText, of target: ScrapeTarget, at now: Date) {
        let started = text.lines.first { $0.metric == TargetLife.processStart }?.value
        let before = seen[target.url]
        // Another process than last time: everything begins again at its start, even what is larger by now.
        let isNewProcess = before.map { $0.started != started } ?? false
        let zero: Date? =
            if let before, !isNewProcess { before.at } else { started.flatMap(Self.start) }
        for line in text.lines {
            let labels = line.labels.merging(target.labels) { _, own in own }
            if let zero, zero < now, CounterReading.isCounter(line.metric) {
                let isNew = history.isUnknown(line.metric, labels)
                if isNew || isNewProcess { history.add(line.metric, labels, SeriesSample(at: zero, value: 0)) }
            }
            history.add(line.metric, labels, SeriesSample(at: now, value: line.value))
        }
        seen[target.url] = (now, started)
    }
}

extension SampleHistory {
    fileprivate func isUnknown(_ metric: String, _ labels: [String: String]) -> Bool {
        series[Key(metric: metric, labels: labels)] == nil
    }
}
