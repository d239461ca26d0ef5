internal import FoundationEssentials
internal import ReleaseGateCore

/// Reads how one service's processes, breakers and dead letters are, from gauges.
struct SignalReader: Sendable {
    let source: any EvidenceSource
    let sides: GateConfiguration.Sides
    let signals: GateConfiguration.Signals
    let service: String

    private static let window = EvidenceCollector.rawWindow

    /// Processes are ready when they can be scraped, and have crashed when they started anew since the step began.
    func health(
        of side: [String: String], at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> CanaryHealth {
        let mine = side.merging(["service": service]) { own, _ in own }
        let ups = try await read(SeriesSelector(metric: "up"), mine, at: moment)
        let starts = try await read(SeriesSelector(metric: "process_start_time_seconds"), mine, at: moment)
        let living = ups.series.filter { series in
            series.last(by: moment.now).map { moment.now.timeIntervalSince($0.at) <= CounterReading.staleAfter }
                ?? false
        }
        let ready = living.count { $0.last(by: moment.now)?.value == 1 }
        var kills = 0
        if let text = signals.outOfMemoryKills {
            let killed = try await read(try SeriesSelector(parsing: text), mine, at: moment)
            if case .counted(let count) = CounterReading(killed, from: moment.stepBegan, to: moment.now) {
                kills = Int(bounded: count)
            }
        }
        return CanaryHealth(
            ready: ready, desired: living.count, crashes: starts.series.reduce(0) { $0 + Self.changes($1, moment) },
            outOfMemoryKills: kills, unreadySeconds: Self.unreadySeconds(living, moment))
    }

    /// How often a gauge took another value since the step began.
    private static func changes(_ series: Series, _ moment: EvidenceCollector.Moment) -> Int {
        let since = series.samples.filter { $0.at >= moment.stepBegan && $0.at <= moment.now }
        return zip(since, since.dropFirst()).count { $0.value != $1.value }
    }

    /// Since when some target of those living has been down, the longest of them, within the step.
    private static func unreadySeconds(_ living: [Series], _ moment: EvidenceCollector.Moment) -> Int {
        let spans = living.compactMap { series -> TimeInterval? in
            guard series.last(by: moment.now)?.value != 1 else { return nil }
            let lastUp = series.samples.last { $0.value == 1 && $0.at <= moment.now }?.at ?? moment.stepBegan
            return moment.now.timeIntervalSince(max(lastUp, moment.stepBegan))
        }
        return Int(spans.max() ?? 0)
    }

    /// Each breaker as its worst replica has it. The gauge is 0 closed, 1 half-open, 2 open. Those of another
    /// version's canary say nothing of the release.
    func breakers(at moment: EvidenceCollector.Moment) async throws(GateError) -> [BreakerEvidence] {
        guard let text = signals.breakers else { return [] }
        let selector = try SeriesSelector(parsing: text)
        var found: [BreakerEvidence] = []
        for (side, labels) in [(BreakerEvidence.Side.canary, sides.canary), (.stable, sides.stable)]
        where side == .stable || moment.hasCanary(until: moment.now) {
            let mine = labels.merging(["service": service]) { own, _ in own }
            let reading = try await read(selector, mine, at: moment)
            let byName = Dictionary(grouping: reading.series) { $0.labels["name"] ?? "breaker" }
            for (name, replicas) in byName {
                let states = replicas.compactMap { Self.state($0, moment) }
                guard let worst = states.max(by: { $0.value < $1.value }) else { continue }
                found.append(
                    BreakerEvidence(
                        name: name, side: side,
                        state: worst.value == 0 ? .closed : worst.value == 1 ? .halfOpen : .open,
                        forSeconds: worst.seconds))
            }
        }
        return found.sorted { ($0.name, $0.side.rawValue) < ($1.name, $1.side.rawValue) }
    }

    private static func state(_ series: Series, _ moment: EvidenceCollector.Moment) -> (value: Int, seconds: Int)? {
        guard let last = series.last(by: moment.now), last.value.isFinite,
            moment.now.timeIntervalSince(last.at) <= CounterReading.staleAfter
        else { return nil }
        let before = series.samples.last { $0.at < last.at && $0.value != last.value }
        let since = before.map { before in series.samples.first { $0.at > before.at }?.at ?? last.at }
        let began = since ?? series.samples.first?.at ?? last.at
        return (Int(bounded: last.value), Int(moment.now.timeIntervalSince(began)))
    }

    /// Nil when the service has none to watch.
    func deadLetters(at moment: EvidenceCollector.Moment) async throws(GateError) -> DeadLetterEvidence? {
        guard let text = signals.deadLetters else { return nil }
        let reading = try await read(try SeriesSelector(parsing: text), ["service": service], at: moment)
        guard case .value(let now) = GaugeReading(reading, at: moment.now, combine: { $0.max() ?? 0 }) else {
            return nil
        }
        let before = GaugeReading(reading, at: moment.stepBegan, combine: { $0.max() ?? 0 })
        let start: Double = if case .value(let start) = before { start } else { now }
        return DeadLetterEvidence(unresolved: Int(bounded: now), unresolvedAtStepStart: Int(bounded: start))
    }

    private func read(
        _ selector: SeriesSelector, _ labels: [String: String], at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> SelectorReading {
        let restricted = labels.sorted { $0.key < $1.key }.reduce(selector) {
            $0.adding(SeriesSelector.Matcher($1.key, .equal, $1.value))
        }
        let start = min(moment.stepBegan, moment.now).addingTimeInterval(-Self.window)
        return try await source.read([restricted], from: start, to: moment.now)[0]
    }
}
