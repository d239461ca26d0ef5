package import FoundationEssentials

/// One value of a counter or gauge, and when it was read.
package struct SeriesSample: Sendable, Equatable {
    package let at: Date
    package let value: Double

    package init(at: Date, value: Double) {
        self.at = at
        self.value = value
    }
}

/// One time series: a metric's labels, and its samples, oldest first.
package struct Series: Sendable, Equatable {
    package let labels: [String: String]
    package var samples: [SeriesSample]

    package init(labels: [String: String], samples: [SeriesSample]) {
        self.labels = labels
        self.samples = samples
    }
}

/// What a source found of one selector.
package struct SelectorReading: Sendable, Equatable {
    /// A moment at which some of the targets that belong to the selector gave nothing, or not everything.
    package struct Gap: Sendable, Equatable {
        package let at: Date
        package let answered: Int
        package let targets: Int
        package let reason: String

        package init(at: Date, answered: Int, targets: Int, reason: String) {
            self.at = at
            self.answered = answered
            self.targets = targets
            self.reason = reason
        }
    }

    package var series: [Series]
    /// Empty when all targets gave everything, as far as the source knows.
    package var gaps: [Gap]

    package init(series: [Series], gaps: [Gap] = []) {
        self.series = series
        self.gaps = gaps
    }

    /// The moment in a window (`start`, `end`] at which the fewest targets answered.
    package func worstGap(from start: Date, to end: Date) -> Gap? {
        gaps.filter { $0.at > start && $0.at <= end }.min { $0.answered < $1.answered }
    }
}

/// Where evidence comes from. Its conformance suite is `EvidenceSourceTests`.
package protocol EvidenceSource: Sendable {
    /// Says where it looks, for people.
    var name: String { get }

    /// The raw samples of each selector in a window, in the selectors' order. A counter's samples may begin before the
    /// window: with the last one before it, what was counted in the window is complete.
    ///
    /// - Throws: `unreachable` when nothing can be said at all, `badAnswer` when what came is not understood.
    func read(_ selectors: [SeriesSelector], from start: Date, to end: Date) async throws(GateError)
        -> [SelectorReading]

    /// The same source for the reads of one look: what several of them need is asked for once.
    func forOneLook() -> any EvidenceSource
}

extension EvidenceSource {
    package func forOneLook() -> any EvidenceSource { self }
}
