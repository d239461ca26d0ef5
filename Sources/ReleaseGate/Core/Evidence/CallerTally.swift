/// Says which failures are repeats when they are known by interval and by bucket of callers, as counters tell.
///
/// A caller whose request fails tends to fail again, at once and on the same side, because its connection stays where
/// it is: such failures say one thing, not many. So a bucket's failure counts when none of the same bucket, on
/// whichever side, has counted for `spacingSeconds`; all others are repeats. The sides are not kept apart on purpose:
/// counted for each by itself, the busier one would run out of callers first and look better than it is.
///
/// Within an interval nobody knows which failure came first. One is drawn, by the sides' numbers of failures: how
/// many a caller makes in a row does not depend on the side when both are equally good, so each side is drawn by its
/// share of the traffic in the mean, which is what the test of the two sides asks of a good release. The draw depends
/// on bucket and time alone, so that a replay draws the same.
///
/// Callers that share a bucket hide each other's failures, on both sides alike: that costs power, and no good release.
package struct CallerTally: Sendable {
    /// Of one bucket, or of all, in one interval.
    package struct Failures: Sendable, Equatable {
        package var canary: Int
        package var stable: Int

        package init(canary: Int = 0, stable: Int = 0) {
            self.canary = canary
            self.stable = stable
        }
    }

    package static let spacingSecondsDefault = 120

    private let spacingSeconds: Int
    private var lastCounted: [String: Int] = [:]

    package init(spacingSeconds: Int = Self.spacingSecondsDefault) { self.spacingSeconds = spacingSeconds }

    /// Takes the next interval's failures, by bucket.
    ///
    /// - Returns: how many of each side's are repeats.
    package mutating func close(_ failures: [String: Failures], endSeconds: Int) -> Failures {
        var repeats = Failures()
        for (bucket, failed) in failures where failed.canary + failed.stable > 0 {
            repeats.canary += failed.canary
            repeats.stable += failed.stable
            if let last = lastCounted[bucket], endSeconds - last < spacingSeconds { continue }
            lastCounted[bucket] = endSeconds
            let drawn = Self.draw(bucket, endSeconds) % UInt64(failed.canary + failed.stable)
            if drawn < UInt64(failed.canary) { repeats.canary -= 1 } else { repeats.stable -= 1 }
        }
        return repeats
    }

    /// FNV-1a over the bucket and the time, mixed as SplitMix64 does.
    private static func draw(_ bucket: String, _ seconds: Int) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in Array(bucket.utf8) + (0..<8).map({ UInt8(truncatingIfNeeded: seconds >> ($0 * 8)) }) {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        return hash ^ (hash >> 31)
    }
}
