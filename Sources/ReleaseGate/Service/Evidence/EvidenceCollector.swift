package import FoundationEssentials
package import ReleaseGateCore

/// Gathers what one decision depends on: every objective's counts on both sides of the release, interval by interval
/// and over the burn rules' windows, and how the canary's processes, breakers and dead letters are.
///
/// Everything is counted anew from the source at every look, so that a gate that was killed and started again sees
/// what it would have seen.
package struct EvidenceCollector: Sendable {
    /// Raw samples reach back so far; a longer walk is judged by its last hours.
    static let rawWindow: TimeInterval = 6 * 3600
    /// A soak is looked for in so many seconds, however long ago the walk began.
    static let soakMax: TimeInterval = 7 * 86_400

    /// When a walk began and where it stands.
    package struct Moment: Sendable {
        package let walkBegan: Date
        package let stepBegan: Date
        package let now: Date
        /// Nil before its seal. From then on the release is the stable version, however its series are labelled.
        package let sealed: Date?
        /// When another version's walk began after the seal: from then on the canary is that one's.
        package let next: Date?

        package init(walkBegan: Date, stepBegan: Date, now: Date, sealed: Date? = nil, next: Date? = nil) {
            self.walkBegan = walkBegan
            self.stepBegan = stepBegan
            self.now = now
            self.sealed = sealed
            self.next = next
        }

        /// Where raw samples must begin: the windows of the burn rules at the step's beginning reach back from there.
        /// Of a step that takes longer than sources are read sample by sample, those windows are read sparsely.
        var rawStart: Date {
            max(
                min(stepBegan, now).addingTimeInterval(-EvidenceCollector.rawWindow),
                now.addingTimeInterval(-PrometheusSource.rawWindowMax))
        }

        /// Whether no other version had the canary's labels until `end`.
        func hasCanary(until end: Date) -> Bool { next.map { end <= $0 } ?? true }

        /// What the release itself counted from `start` to `end`: after its seal, what the stable side did, once
        /// there is no canary or it is another version's. Before its seal, and before the newest way back to it, the
        /// stable side was another version.
        func own(_ canary: Reading, _ stable: Reading, from start: Date, to end: Date) -> Reading {
            let isStable = sealed.map { start >= $0 } ?? false
            guard hasCanary(until: end) else { return isStable ? stable : .missing }
            return isStable && canary.sample == nil ? stable : canary
        }
    }

    private(set) var source: any EvidenceSource
    let policy: GatePolicy
    let sides: GateConfiguration.Sides
    let signals: GateConfiguration.Signals
    let lookSeconds: Int

    package init(
        source: any EvidenceSource, policy: GatePolicy, sides: GateConfiguration.Sides,
        signals: GateConfiguration.Signals = GateConfiguration.Signals(), lookSeconds: Int = 30
    ) {
        self.source = source
        self.policy = policy
        self.sides = sides
        self.signals = signals
        self.lookSeconds = lookSeconds
    }

    /// - Parameter services: the train's; objectives of others are left out.
    package func collect(
        services: [String], at moment: Moment, schema: SchemaState = .compatible
    ) async throws(GateError) -> TrainEvidence {
        var look = self
        look.source = source.forOneLook()
        return try await look.evidence(services, at: moment, schema)
    }

    private func evidence(
        _ services: [String], at moment: Moment, _ schema: SchemaState
    ) async throws(GateError) -> TrainEvidence {
        let letters = try await signalReader.deadLetters(at: moment)
        var evidence: [ServiceEvidence] = []
        for service in services {
            let breakers = try await signalReader.breakers(of: service, at: moment)
            let unknown = breakers.unknown + letters.unknown
            evidence.append(
                ServiceEvidence(
                    service: service, health: try await health(of: service, at: moment),
                    indicators: try await indicators(of: service, at: moment), breakers: breakers.known,
                    deadLetters: letters.known, unknownSignals: unknown))
        }
        return TrainEvidence(services: evidence, schema: schema)
    }

    private var signalReader: SignalReader { SignalReader(source: source, sides: sides, signals: signals) }

    private func indicators(
        of service: String, at moment: Moment
    ) async throws(GateError) -> [IndicatorEvidence] {
        let isAnswering = try await signalReader.isAnswering(service, on: .stable, at: moment)
        var indicators: [IndicatorEvidence] = []
        for objective in policy.objectives where objective.service == service {
            indicators.append(try await indicator(objective, at: moment, isStableAnswering: isAnswering))
        }
        return indicators
    }

    /// The canary's processes; once there is none after the seal, those that took its place.
    private func health(of service: String, at moment: Moment) async throws(GateError) -> CanaryHealth {
        let health = try await signalReader.health(of: service, on: .canary, at: moment)
        guard let sealed = moment.sealed, health.desired == 0 || !moment.hasCanary(until: moment.now) else {
            return health
        }
        // The stable processes started anew for the release: that was no crash.
        let since = Moment(walkBegan: moment.walkBegan, stepBegan: max(moment.stepBegan, sealed), now: moment.now)
        return try await signalReader.health(of: service, on: .stable, at: since)
    }

    private func indicator(
        _ objective: ServiceLevelObjective, at moment: Moment, isStableAnswering: Bool
    ) async throws(GateError) -> IndicatorEvidence {
        let canary = try await read(objective, sides.canary, at: moment)
        let stable = try await read(objective, sides.stable, at: moment)
        let callers = try await callers(objective, from: moment.rawStart, to: moment.now, on: moment.walkBegan)
        let first = max(moment.walkBegan, moment.now.addingTimeInterval(-Self.rawWindow))
        let stableBurn = burn(objective, stable, callers, \.stable, at: moment, isAnswering: isStableAnswering)
        let canaryBurn = burn(objective, canary, callers, \.canary, at: moment, isAnswering: false)
        return IndicatorEvidence(
            objective: objective.name,
            intervals: intervals(
                canary.raw, stable.raw, callers,
                from: Self.align(first, from: moment.walkBegan, every: lookSeconds), to: moment.now, at: moment),
            canaryBurn: IndicatorEvidence.Burn(
                atStepStart: own(canaryBurn.atStepStart, stableBurn.atStepStart, endingAt: moment.stepBegan, moment),
                now: own(canaryBurn.now, stableBurn.now, endingAt: moment.now, moment)),
            stableBurn: stableBurn)
    }

    /// What every objective counted since a walk began, look by look: what a soak is worked out from.
    ///
    /// It is read piece by piece, so that each is read sample by sample however long ago it was.
    package func history(
        services: [String], at moment: Moment
    ) async throws(GateError) -> [IndicatorEvidence] {
        let since = max(moment.walkBegan, moment.now.addingTimeInterval(-Self.soakMax))
        let piece = TimeInterval(max(1, Int(Self.rawWindow) / lookSeconds) * lookSeconds)
        var indicators: [IndicatorEvidence] = []
        for objective in policy.objectives where services.contains(objective.service) {
            var found: [IndicatorEvidence.Interval] = []
            var start = Self.align(since, from: moment.walkBegan, every: lookSeconds)
            while start < moment.now {
                let end = min(start.addingTimeInterval(piece), moment.now)
                found += intervals(
                    try await series(of: objective, sides.canary, from: start, to: end),
                    try await series(of: objective, sides.stable, from: start, to: end),
                    try await callers(objective, from: start, to: end, on: moment.walkBegan),
                    from: start, to: end, at: moment)
                start = end
            }
            indicators.append(IndicatorEvidence(objective: objective.name, intervals: found))
        }
        return indicators
    }

    /// Look by look, from one look's moment on.
    private func intervals(
        _ canary: IndicatorSeries, _ stable: IndicatorSeries, _ callers: CallerEpisodes, from first: Date,
        to last: Date, at moment: Moment
    ) -> [IndicatorEvidence.Interval] {
        var intervals: [IndicatorEvidence.Interval] = []
        var start = first
        while case let end = start.addingTimeInterval(TimeInterval(lookSeconds)), end <= last {
            let mine = callers.applied(to: canary.reading(from: start, to: end), \.canary, from: start, to: end)
            let other = callers.applied(to: stable.reading(from: start, to: end), \.stable, from: start, to: end)
            intervals.append(
                IndicatorEvidence.Interval(
                    endSeconds: Int(end.timeIntervalSince1970), canary: moment.own(mine, other, from: start, to: end),
                    stable: other))
            start = end
        }
        return intervals
    }

    private func own(
        _ canary: [IndicatorEvidence.Window], _ stable: [IndicatorEvidence.Window], endingAt end: Date,
        _ moment: Moment
    ) -> [IndicatorEvidence.Window] {
        zip(canary, stable).map { mine, other in
            let start = end.addingTimeInterval(-TimeInterval(mine.seconds))
            return IndicatorEvidence.Window(
                seconds: mine.seconds, reading: moment.own(mine.reading, other.reading, from: start, to: end))
        }
    }

    /// Both sides' failures by callers, where the objective says how they are counted.
    private func callers(
        _ objective: ServiceLevelObjective, from start: Date, to end: Date, on origin: Date
    ) async throws(GateError) -> CallerEpisodes {
        guard let text = objective.indicator.callers else { return CallerEpisodes() }
        var readings: [SelectorReading] = []
        for labels in [sides.canary, sides.stable] {
            let expression = try CounterExpression(parsing: text).restricted(to: labels)
            readings += try await source.read(expression.selectors, from: start, to: end)
        }
        return CallerEpisodes(
            canary: readings[0], stable: readings[1], from: start, to: end, on: origin, lookSeconds: lookSeconds)
    }

    /// The first interval's beginning at or after `date`, on the walk's own grid.
    static func align(_ date: Date, from origin: Date, every seconds: Int) -> Date {
        let steps = (date.timeIntervalSince(origin) / Double(seconds)).rounded(.up)
        return origin.addingTimeInterval(steps * Double(seconds))
    }

    /// One side's counters, sample by sample for hours and sparsely for days.
    private struct Side {
        let raw: IndicatorSeries
        let days: IndicatorSeries
    }

    private func read(
        _ objective: ServiceLevelObjective, _ labels: [String: String], at moment: Moment
    ) async throws(GateError) -> Side {
        let daysStart = min(moment.stepBegan, moment.now).addingTimeInterval(-Double(objective.windowDays) * 86_400)
        return Side(
            raw: try await series(of: objective, labels, from: moment.rawStart, to: moment.now),
            days: try await series(of: objective, labels, from: daysStart, to: moment.now))
    }

    private func series(
        of objective: ServiceLevelObjective, _ labels: [String: String], from start: Date, to end: Date
    ) async throws(GateError) -> IndicatorSeries {
        let bad = try CounterExpression(parsing: objective.indicator.bad).restricted(to: labels)
        let total = try CounterExpression(parsing: objective.indicator.total).restricted(to: labels)
        return IndicatorSeries(
            bad: bad, total: total,
            readings: try await source.read(bad.selectors + total.selectors, from: start, to: end))
    }

    private func burn(
        _ objective: ServiceLevelObjective, _ side: Side, _ callers: CallerEpisodes,
        _ failures: KeyPath<CallerTally.Failures, Int>, at moment: Moment, isAnswering: Bool
    ) -> IndicatorEvidence.Burn {
        let rules = policy.burnRules.flatMap { [$0.shortSeconds, $0.longSeconds] }
        let budget = objective.windowDays * 86_400
        let lengths = Set(rules + [budget]).sorted()
        func windows(endingAt end: Date, isAnswering: Bool) -> [IndicatorEvidence.Window] {
            lengths.map { seconds in
                let start = end.addingTimeInterval(-TimeInterval(seconds))
                // Whether a source still speaks is judged by the raw samples; sparse ones are far apart. What was away
                // or began anew does not hide that the others burn. The budget itself must be whole.
                let isRaw = TimeInterval(seconds) <= Self.rawWindow && start >= moment.rawStart
                let reading =
                    isRaw
                    ? callers.applied(
                        to: side.raw.reading(
                            from: start, to: end, isLong: true, spansGaps: true, isAnswering: isAnswering),
                        failures, from: start, to: end)
                    : side.days.reading(
                        from: start, to: end, staleAfter: TimeInterval(seconds), isLong: true,
                        spansGaps: seconds != budget, isAnswering: isAnswering && seconds != budget)
                return IndicatorEvidence.Window(seconds: seconds, reading: reading)
            }
        }
        return IndicatorEvidence.Burn(
            atStepStart: windows(endingAt: moment.stepBegan, isAnswering: false),
            now: windows(endingAt: moment.now, isAnswering: isAnswering))
    }
}

/// The counters of one indicator on one side, as they were read.
struct IndicatorSeries {
    let bad: CounterExpression
    let total: CounterExpression
    /// Those of `bad`, then those of `total`.
    let readings: [SelectorReading]

    /// The core's reading of a window: counts, or the first reason why there are none.
    ///
    /// - Parameters:
    ///   - isLong: over hours or days, a restart is no reason not to count.
    ///   - spansGaps: what answered counts, although not everything did.
    ///   - isAnswering: the targets answer, so that a total without a series, or with none any more, is of no events: a
    ///     series begins with the first one.
    func reading(
        from start: Date, to end: Date, staleAfter: TimeInterval = CounterReading.staleAfter, isLong: Bool = false,
        spansGaps: Bool = false, isAnswering: Bool = false
    ) -> Reading {
        func count(_ expression: CounterExpression, _ readings: ArraySlice<SelectorReading>) -> CounterReading {
            self.count(expression, readings) {
                CounterReading(
                    $0, from: start, to: end, staleAfter: staleAfter, spansRestarts: isLong, spansGaps: spansGaps)
            }
        }
        let totals = count(total, readings.suffix(total.terms.count))
        guard case .counted(let total) = totals else {
            let reason = Self.reason(totals)
            return isAnswering && reason.isAbsence ? .counted(.none) : reason
        }
        switch count(bad, readings.prefix(bad.terms.count)) {
        case .counted(let bad):
            let whole = Int(bounded: total)
            return .counted(Sample(total: whole, bad: min(whole, max(0, Int(bounded: bad)))))
        case .missing where isPartOfTotal, .stale where isPartOfTotal:
            // No request has failed yet, or not for long: there is no series of failed ones then, and that is good.
            return .counted(Sample(total: Int(bounded: total), bad: 0))
        case let other: return Self.reason(other)
        }
    }

    /// Whether the bad events are series of a metric that the total counts: with the total there, they are known
    /// to be none. Of another metric nothing is known when it is missing, and that is no good news.
    private var isPartOfTotal: Bool {
        bad.terms.allSatisfy { term in term.isAdded && total.selectors.contains { $0.metric == term.selector.metric } }
    }

    /// A difference needs all its parts. A sum needs one: kinds of events that have not happened have no series.
    private func count(
        _ expression: CounterExpression, _ readings: ArraySlice<SelectorReading>,
        _ read: (SelectorReading) -> CounterReading
    ) -> CounterReading {
        let isSum = expression.terms.allSatisfy(\.isAdded)
        var sum: Double?
        var absence = CounterReading.missing
        for (term, reading) in zip(expression.terms, readings) {
            switch read(reading) {
            case .counted(let value): sum = (sum ?? 0) + (term.isAdded ? value : -value)
            case .missing where isSum: continue
            case .stale(let seconds) where isSum: absence = .stale(ageSeconds: seconds)
            case let other: return other
            }
        }
        // Counts that are too large to be added up are none.
        return sum.map { $0.isFinite ? .counted($0) : .notANumber } ?? absence
    }

    private static func reason(_ reading: CounterReading) -> Reading {
        switch reading {
        case .counted(let value): .counted(Sample(total: Int(bounded: value), bad: 0))
        case .missing: .missing
        case .stale(let seconds): .stale(ageSeconds: seconds)
        case .notANumber: .notANumber
        case .reset: .reset
        case .partial(let gap): .partial(answered: gap.answered, targets: gap.targets)
        }
    }
}
