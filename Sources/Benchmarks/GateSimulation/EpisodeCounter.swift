internal import ReleaseGateCore

/// Counts requests so that one caller's retries are one failure: `CallerTally`'s rule where each caller is known.
///
/// A caller whose request fails tends to fail again, at once and on the same side, because its connection stays where
/// it is. Such failures say one thing, not many. So a caller's failure counts when none of the same caller, on
/// whichever side, has counted for `spacingSeconds`; the others are repeats.
///
/// The sides are not kept apart on purpose. Whose failure comes first is then a fair draw between the sides by their
/// traffic, however often callers fail; counted for each side by itself, the busier side would run out of callers first
/// and look better than it is (simulated at 200 requests/s: 87% of good releases rolled back).
struct EpisodeCounter: Sendable {
    enum Side: Sendable, Hashable { case canary, stable }

    private let spacingSeconds: Double
    private var lastCounted: [Int: Double] = [:]
    private var canary = Sample.none
    private var stable = Sample.none

    init(spacingSeconds: Int) { self.spacingSeconds = Double(spacingSeconds) }

    mutating func addGood(_ count: Int, on side: Side) {
        add(Sample(total: count, bad: 0), on: side)
    }

    /// One failed request of a caller, whatever numbers its callers are known by.
    mutating func addBad(caller: Int, on side: Side, atSeconds: Double) {
        let isRepeat = lastCounted[caller].map { atSeconds - $0 < spacingSeconds } ?? false
        if !isRepeat { lastCounted[caller] = atSeconds }
        add(Sample(total: 1, bad: 1, repeats: isRepeat ? 1 : 0), on: side)
    }

    /// The counts since the last call. It also forgets the callers that have been quiet.
    mutating func closeInterval(atSeconds: Double) -> (canary: Sample, stable: Sample) {
        let counts = (canary, stable)
        (canary, stable) = (.none, .none)
        lastCounted = lastCounted.filter { atSeconds - $0.value < spacingSeconds }
        return counts
    }

    private mutating func add(_ sample: Sample, on side: Side) {
        switch side {
        case .canary: canary = canary + sample
        case .stable: stable = stable + sample
        }
    }
}
