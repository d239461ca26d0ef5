internal import FoundationEssentials
internal import ReleaseGateCore

/// Reads how processes, breakers and dead letters are, from gauges.
struct SignalReader: Sendable {
    let source: any EvidenceSource
    let sides: GateConfiguration.Sides
    let signals: GateConfiguration.Signals

    private static let window = EvidenceCollector.rawWindow

    /// Processes are ready when they can be scraped, and have crashed when they started anew since the step began.
    func health(
        of service: String, on side: BreakerEvidence.Side, at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> CanaryHealth {
        let mine = labels(of: service, on: side)
        let starts = try await read(SeriesSelector(metric: TargetLife.processStart), mine, at: moment)
        let living = try await living(service, side, at: moment)
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

    /// Whether each target of a side that is still asked for answers, and there is one.
    func isAnswering(
        _ service: String, on side: BreakerEvidence.Side, at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> Bool {
        let living = try await living(service, side, at: moment)
        return !living.isEmpty && living.allSatisfy { $0.last(by: moment.now)?.value == 1 }
    }

    /// The targets that are still asked for.
    private func living(
        _ service: String, _ side: BreakerEvidence.Side, at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> [Series] {
        let mine = labels(of: service, on: side)
        let ups = try await read(SeriesSelector(metric: TargetLife.up), mine, at: moment)
        return ups.series.filter { Self.fresh($0, moment) != nil }
    }

    private func labels(of service: String, on side: BreakerEvidence.Side) -> [String: String] {
        let own =
            switch side {
            case .canary: sides.canary
            case .stable: sides.stable
            }
        return own.merging(["service": service]) { own, _ in own }
    }

    /// The newest sample, unless it is too old to say anything of now.
    private static func fresh(_ series: Series, _ moment: EvidenceCollector.Moment) -> SeriesSample? {
        series.last(by: moment.now).flatMap {
            moment.now.timeIntervalSince($0.at) <= CounterReading.staleAfter ? $0 : nil
        }
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

    /// Each breaker as its worst replica has it; and of which side nothing is known, although somebody answers there.
    /// Those of another version's canary say nothing of the release.
    ///
    /// A service may have none: then neither side shows any, while others in the installation do. One whose stable side
    /// shows none gets its first with the release.
    func breakers(
        of service: String, at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> (known: [BreakerEvidence], unknown: [UnknownSignal]) {
        guard let text = signals.breakers else { return ([], []) }
        let selector = try SeriesSelector(parsing: text)
        var known: [BreakerEvidence] = []
        var lacks: [(side: BreakerEvidence.Side, reading: Reading)] = []
        for side in [BreakerEvidence.Side.canary, .stable]
        where side == .stable || moment.hasCanary(until: moment.now) {
            let series = try await read(selector, labels(of: service, on: side), at: moment).series
            known += Self.breakers(series, on: side, moment)
            if let reading = Self.lack(series, moment) { lacks.append((side, reading)) }
        }
        var isExpected = !known.isEmpty || lacks.contains { $0.reading != .missing }
        if !isExpected {
            let all = try await read(selector, [:], at: moment)
            isExpected = !all.series.contains { Self.fresh($0, moment) != nil }
        }
        var unknown: [UnknownSignal] = []
        for (side, reading) in lacks where isExpected && (side == .canary || reading != .missing) {
            let answering = try await living(service, side, at: moment).count {
                Self.fresh($0, moment)?.value == 1
            }
            if answering > 0 { unknown.append(UnknownSignal("breakers on \(side.rawValue)", reading)) }
        }
        return (known.sorted { ($0.name, $0.side.rawValue) < ($1.name, $1.side.rawValue) }, unknown)
    }

    /// The gauge is 0 closed, 1 half-open, 2 open.
    private static func breakers(
        _ series: [Series], on side: BreakerEvidence.Side, _ moment: EvidenceCollector.Moment
    ) -> [BreakerEvidence] {
        Dictionary(grouping: series) { $0.labels["name"] ?? "breaker" }.compactMap { name, replicas in
            let states = replicas.compactMap { state($0, moment) }
            return states.max { $0.value < $1.value }.map { worst in
                BreakerEvidence(
                    name: name, side: side, state: worst.value == 0 ? .closed : worst.value == 1 ? .halfOpen : .open,
                    forSeconds: worst.seconds)
            }
        }
    }

    /// Why these gauges do not say how things are now; nil when they do.
    private static func lack(_ series: [Series], _ moment: EvidenceCollector.Moment) -> Reading? {
        let fresh = series.compactMap { Self.fresh($0, moment) }
        if !fresh.isEmpty { return fresh.allSatisfy(\.value.isFinite) ? nil : .notANumber }
        guard let newest = series.compactMap({ $0.last(by: moment.now)?.at }).max() else { return .missing }
        return .stale(ageSeconds: Int(bounded: moment.now.timeIntervalSince(newest)))
    }

    private static func state(_ series: Series, _ moment: EvidenceCollector.Moment) -> (value: Int, seconds: Int)? {
        guard let last = fresh(series, moment), last.value.isFinite else { return nil }
        let before = series.samples.last { $0.at < last.at && $0.value != last.value }
        let since = before.map { before in series.samples.first { $0.at > before.at }?.at ?? last.at }
        let began = since ?? series.samples.first?.at ?? last.at
        return (Int(bounded: last.value), Int(moment.now.timeIntervalSince(began)))
    }

    /// The whole installation's, whichever service counts them: what a release does badly ends there. Neither where
    /// nobody watches them.
    func deadLetters(
        at moment: EvidenceCollector.Moment
    ) async throws(GateError) -> (known: DeadLetterEvidence?, unknown: [UnknownSignal]) {
        guard let text = signals.deadLetters else { return (nil, []) }
        let reading = try await read(try SeriesSelector(parsing: text), [:], at: moment)
        guard case .value(let now) = GaugeReading(reading, at: moment.now, combine: { $0.max() ?? 0 }) else {
            return (nil, [UnknownSignal("dead letters", Self.lack(reading.series, moment) ?? .missing)])
        }
        let before = GaugeReading(reading, at: moment.stepBegan, combine: { $0.max() ?? 0 })
        let start: Double = if case .value(let start) = before { start } else { now }
        return (DeadLetterEvidence(unresolved: Int(bounded: now), unresolvedAtStepStart: Int(bounded: start)), [])
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
