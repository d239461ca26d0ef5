/// When a breaker opens, for how long, and how it closes again.
package struct BreakerPolicy: Sendable, Hashable {
    /// What becomes of a half-open phase in which no call was made. One whose calls found nothing out opens again.
    package enum Idle: Sendable, Hashable { case close, reopen }

    /// Calls within the window of ten seconds below which nothing is concluded.
    package var callsMin: Int64
    /// Opens at this share of failures, or at that of slow calls.
    package var failurePercent: Int64
    package var slowPercent: Int64
    /// The first wait of an open breaker; it doubles with every probe that fails, up to `openWaitMax`, and varies by
    /// `jitterPercent` either way so that breakers do not try in step.
    package var openWait: Duration
    package var openWaitMax: Duration
    package var jitterPercent: Int64
    /// Calls let through in one half-open phase, all replicas together.
    package var probes: Int64
    /// How long a probe may take; one that is not heard of in that time has failed.
    package var probeLease: Duration
    /// How long a half-open phase waits for probes.
    package var halfOpen: Duration
    package var idle: Idle

    package init(
        callsMin: Int64 = 20, failurePercent: Int64 = 50, slowPercent: Int64 = 80, openWait: Duration = .seconds(5),
        openWaitMax: Duration = .seconds(120), jitterPercent: Int64 = 20, probes: Int64 = 5,
        probeLease: Duration = .seconds(30), halfOpen: Duration = .seconds(60), idle: Idle = .close
    ) {
        precondition(
            callsMin > 0 && probes > 0 && openWait > .zero && openWait <= openWaitMax && probeLease > .zero
                && halfOpen > .zero && (0...100).contains(jitterPercent), "A breaker's numbers make no sense."
        )
        self.callsMin = callsMin
        self.failurePercent = failurePercent
        self.slowPercent = slowPercent
        self.openWait = openWait
        self.openWaitMax = openWaitMax
        self.jitterPercent = jitterPercent
        self.probes = probes
        self.probeLease = probeLease
        self.halfOpen = halfOpen
        self.idle = idle
    }
}

/// A policy's times in whole units of one clock: microseconds within a replica, milliseconds in Redis.
struct BreakerTerms: Sendable, Hashable {
    var openWait: Int64
    var openWaitMax: Int64
    /// By how much the next wait differs from its mean, in thousandths.
    var jitter: Int64 = 0
    var probes: Int64
    var probeLease: Int64
    var halfOpen: Int64
    var idleCloses: Bool

    /// Doubling ends here at the latest, long after `openWaitMax`.
    static let doublingsMax: Int64 = 20

    /// - Parameter unit: microseconds for one unit of the clock.
    init(_ policy: BreakerPolicy, unit: Int64) {
        openWait = max(1, policy.openWait.microsecondsUp / unit)
        openWaitMax = max(1, policy.openWaitMax.microsecondsUp / unit)
        probes = policy.probes
        probeLease = max(1, policy.probeLease.microsecondsUp / unit)
        halfOpen = max(1, policy.halfOpen.microsecondsUp / unit)
        idleCloses = policy.idle == .close
    }

    /// How long a breaker stays open that has opened `openings` times before without closing.
    func wait(openings: Int64) -> Int64 {
        // Doubling step by step never overflows, since it ends at the bound.
        var wait = min(openWait, openWaitMax)
        for _ in 0..<min(openings, Self.doublingsMax) where wait < openWaitMax { wait = min(wait * 2, openWaitMax) }
        return wait * (1000 + jitter) / 1000
    }

    /// From -`percent` to +`percent` per cent, in thousandths: it looks random and follows from `seed` alone.
    /// Source: SplitMix64, Steele, Lea and Flood, 2014.
    static func jitter(seed: Int64, percent: Int64) -> Int64 {
        var z = UInt64(bitPattern: seed) &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        let span = percent * 10
        return Int64(z % UInt64(2 * span + 1)) - span
    }
}
