/// What a service promises: at most a small share of bad events, or nothing of a kind at all.
///
/// Read from OpenSLO v1 (`kind: SLO`, a `ratioMetric` of bad over total, a target, a rolling window). A promise about
/// time is a ratio too: "p95 < 1 s" is "at most 5% take longer than 1 s", counted at an exact edge of a histogram.
package struct ServiceLevelObjective: Sendable, Equatable, Codable {
    /// Whether a release waits for it.
    package enum Class: String, Sendable, Codable, CaseIterable { case blocking, advisory }

    /// Whether canary and stable are compared too, beside the budget.
    package enum Comparison: String, Sendable, Codable, CaseIterable { case baseline, none }

    /// A metric query's two counters, each in the words of its source (PromQL for Prometheus).
    package struct Indicator: Sendable, Equatable, Codable {
        package let bad: String
        package let total: String
        /// The bad events once more, by bucket of callers; nil where the source does not tell callers apart.
        package let callers: String?

        package init(bad: String, total: String, callers: String? = nil) {
            self.bad = bad
            self.total = total
            self.callers = callers
        }
    }

    package let name: String
    package let service: String
    package let indicator: Indicator
    package let budget: ErrorBudget
    package let windowDays: Int
    package let `class`: Class
    package let comparison: Comparison

    package init(
        name: String, service: String, indicator: Indicator, budget: ErrorBudget, windowDays: Int = 30,
        class: Class = .blocking, comparison: Comparison = .baseline
    ) {
        self.name = name
        self.service = service
        self.indicator = indicator
        self.budget = budget
        self.windowDays = windowDays
        self.class = `class`
        self.comparison = comparison
    }
}

/// The share of events that may be bad, in parts per million: exact, so that a replay computes the same.
package struct ErrorBudget: Sendable, Hashable, Codable, Comparable, CustomStringConvertible {
    package static let whole = 1_000_000

    package let partsPerMillion: Int

    /// Nil unless more than nothing and less than everything may be bad.
    package init?(partsPerMillion: Int) {
        guard (1..<Self.whole).contains(partsPerMillion) else { return nil }
        self.partsPerMillion = partsPerMillion
    }

    /// What OpenSLO calls the target: `0.99` leaves a budget of 1%. Nil when out of range or finer than a millionth.
    package init?(target: Double) {
        let parts = (1 - target) * Double(Self.whole)
        guard parts.isFinite, abs(parts - parts.rounded()) < 1e-3 else { return nil }
        self.init(partsPerMillion: Int(parts.rounded()))
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let budget = Self(partsPerMillion: try container.decode(Int.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a budget is 1 to 999999 ppm")
        }
        self = budget
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(partsPerMillion)
    }

    package var share: Double { Double(partsPerMillion) / Double(Self.whole) }

    package var description: String { Percent.text(partsPerMillion: partsPerMillion) }

    package static func < (left: Self, right: Self) -> Bool { left.partsPerMillion < right.partsPerMillion }
}
