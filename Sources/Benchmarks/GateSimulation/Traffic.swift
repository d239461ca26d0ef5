internal import Foundation
internal import ReleaseGateCore

/// Random numbers that are the same on every machine: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// In [0, 1).
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// What one kind of simulated service does.
struct TrafficModel: Sendable {
    /// How failures come.
    enum Failures: Sendable, Equatable {
        /// Each request fails by itself.
        case independent
        /// A caller whose request failed tries again, every other second, over the same connection, and so on the same
        /// side, and fails each time: that many requests in the mean, the first one included.
        case clumped(mean: Double)
    }

    let requestsPerSecond: Double
    /// The stable version's share of failing requests, retries included.
    let badShare: Double
    /// The canary fails so many times as often.
    let regression: Double
    let failures: Failures
    /// Whether requests come in bursts, or evenly as in the reference.
    var isBursty = true
    /// Callers; few of them make most of the requests.
    var callers = 200

    /// Bursty: calm seconds at half the rate, now and then half a minute at two and a half times.
    static let calm = 0.5
    static let burst = 2.5
    static let burstBeginsPerSecond = 1.0 / 90
    static let burstEndsPerSecond = 1.0 / 30
    static let burstShare = burstBeginsPerSecond / (burstBeginsPerSecond + burstEndsPerSecond)
    static let retriesPerSecond = 1.0
}

/// One run's requests, one after the other.
struct Traffic {
    /// What became of the requests of one stretch of time: as a metrics endpoint tells it, and by callers.
    struct Counts {
        var raw = (canary: Sample.none, stable: Sample.none)
        var byCaller = (canary: Sample.none, stable: Sample.none)
        /// As counters by buckets of callers tell it.
        var byBucket = (canary: Sample.none, stable: Sample.none)
    }

    private struct Retry {
        let atSeconds: Double
        let caller: Int
        let side: EpisodeCounter.Side
        let left: Int
    }

    private let model: TrafficModel
    private var random: SeededGenerator
    private var isBurst: Bool
    private var second = 0
    private var retries: [Retry] = []
    private var counter: EpisodeCounter
    private var tally = CallerTally()
    private var failures: [String: CallerTally.Failures] = [:]

    init(_ model: TrafficModel, seed: UInt64, spacingSeconds: Int = CallerTally.spacingSecondsDefault) {
        self.model = model
        random = SeededGenerator(seed: seed)
        // As often as it is at any time.
        isBurst = random.uniform() < TrafficModel.burstShare
        counter = EpisodeCounter(spacingSeconds: spacingSeconds)
    }

    /// The next seconds, with that share of the requests on the canary.
    mutating func advance(seconds: Int, canaryShare: Double) -> Counts {
        var raw = (canary: Sample.none, stable: Sample.none)
        for _ in 0..<seconds {
            let changes = isBurst ? TrafficModel.burstEndsPerSecond : TrafficModel.burstBeginsPerSecond
            if random.uniform() < changes { isBurst.toggle() }
            let counts = requests(canaryShare: canaryShare)
            raw = (raw.canary + counts.canary, raw.stable + counts.stable)
            let again = repeated()
            raw = (raw.canary + again.canary, raw.stable + again.stable)
            second += 1
        }
        let repeats = tally.close(failures, endSeconds: second)
        failures = [:]
        return Counts(
            raw: raw, byCaller: counter.closeInterval(atSeconds: Double(second)),
            byBucket: (
                Sample(total: raw.canary.total, bad: raw.canary.bad, repeats: repeats.canary),
                Sample(total: raw.stable.total, bad: raw.stable.bad, repeats: repeats.stable)
            ))
    }

    /// Callers share 64 buckets, as the edge's metric has them.
    private mutating func count(_ caller: Int, on side: EpisodeCounter.Side) {
        let bucket = String((UInt64(caller) &* 0x9E37_79B9_7F4A_7C15) >> 58)
        switch side {
        case .canary: failures[bucket, default: .init()].canary += 1
        case .stable: failures[bucket, default: .init()].stable += 1
        }
    }

    /// A second's own requests, each with its side and its fate.
    private mutating func requests(canaryShare: Double) -> (canary: Sample, stable: Sample) {
        var clump = 1.0
        if case .clumped(let mean) = model.failures { clump = mean }
        let sideLimit = Self.limit(canaryShare)
        let canaryLimit = Self.limit(min(1, model.badShare * model.regression / clump))
        let stableLimit = Self.limit(model.badShare / clump)
        var (canaryTotal, canaryBad, stableTotal, stableBad) = (0, 0, 0, 0)
        for _ in 0..<arrivals() {
            let word = random.next()
            let isCanary = UInt64(word >> 32) < sideLimit
            let isBad = word & 0xFFFF_FFFF < (isCanary ? canaryLimit : stableLimit)
            if isCanary { canaryTotal += 1 } else { stableTotal += 1 }
            guard isBad else { continue }
            if isCanary { canaryBad += 1 } else { stableBad += 1 }
            fail(on: isCanary ? .canary : .stable, clump: clump)
        }
        counter.addGood(canaryTotal - canaryBad, on: .canary)
        counter.addGood(stableTotal - stableBad, on: .stable)
        return (Sample(total: canaryTotal, bad: canaryBad), Sample(total: stableTotal, bad: stableBad))
    }

    private mutating func fail(on side: EpisodeCounter.Side, clump: Double) {
        let uniform = random.uniform()
        // Squared, so that a tenth of the callers make a third of the requests.
        let caller = Int(Double(model.callers) * uniform * uniform)
        counter.addBad(caller: caller, on: side, atSeconds: Double(second))
        count(caller, on: side)
        guard clump > 1 else { return }
        var left = 0
        while random.uniform() > 1 / clump { left += 1 }
        if left > 0 { retries.append(Retry(atSeconds: nextRetry(), caller: caller, side: side, left: left)) }
    }

    /// The retries that fall into this second.
    private mutating func repeated() -> (canary: Sample, stable: Sample) {
        guard !retries.isEmpty else { return (.none, .none) }
        var counts = (canary: Sample.none, stable: Sample.none)
        var pending: [Retry] = []
        for retry in retries {
            guard retry.atSeconds < Double(second + 1) else {
                pending.append(retry)
                continue
            }
            counter.addBad(caller: retry.caller, on: retry.side, atSeconds: retry.atSeconds)
            count(retry.caller, on: retry.side)
            let one = Sample(total: 1, bad: 1)
            switch retry.side {
            case .canary: counts.canary = counts.canary + one
            case .stable: counts.stable = counts.stable + one
            }
            if retry.left > 1 {
                pending.append(
                    Retry(atSeconds: nextRetry(), caller: retry.caller, side: retry.side, left: retry.left - 1))
            }
        }
        retries = pending
        return counts
    }

    /// Not within the second that is being counted.
    private mutating func nextRetry() -> Double {
        Double(second + 1) - log(1 - random.uniform()) / TrafficModel.retriesPerSecond
    }

    /// How many requests arrive in one second: exponential gaps, multiplied up instead of added.
    private mutating func arrivals() -> Int {
        let pace = isBurst ? TrafficModel.burst : TrafficModel.calm
        var left = model.requestsPerSecond * (model.isBursty ? pace : 1)
        var count = 0
        while left > 0 {
            let part = min(left, 16)
            left -= part
            let end = exp(-part)
            var product = random.uniform()
            while product > end {
                count += 1
                product *= random.uniform()
            }
        }
        return count
    }

    private static func limit(_ share: Double) -> UInt64 { UInt64(share * 4_294_967_296) }
}
