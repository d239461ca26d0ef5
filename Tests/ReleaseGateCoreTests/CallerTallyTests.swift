import ReleaseGateCore
import Testing

@Suite struct `Failures by bucket of callers` {
    private typealias Failures = CallerTally.Failures

    @Test func `a caller's retries are one failure, for as long as they are spaced closely`() {
        var tally = CallerTally(spacingSeconds: 120)
        #expect(tally.close(["a": Failures(canary: 5)], endSeconds: 30) == Failures(canary: 4))
        #expect(tally.close(["a": Failures(canary: 3)], endSeconds: 60) == Failures(canary: 3))
        #expect(tally.close(["a": Failures(stable: 2)], endSeconds: 120) == Failures(stable: 2))
        #expect(tally.close(["a": Failures(stable: 2)], endSeconds: 150) == Failures(stable: 1))
    }

    @Test func `callers of several buckets count each for itself`() {
        var tally = CallerTally()
        let failed = ["a": Failures(canary: 2), "b": Failures(canary: 1), "c": Failures(stable: 4), "d": Failures()]
        #expect(tally.close(failed, endSeconds: 30) == Failures(canary: 1, stable: 3))
    }

    @Test func `who failed on both sides counts on one, the same at each replay, by the sides' shares`() {
        var onCanary = 0
        for number in 0..<4000 {
            let failed = ["\(number)": Failures(canary: 1, stable: 3)]
            var (one, again) = (CallerTally(), CallerTally())
            let repeats = one.close(failed, endSeconds: number)
            #expect(repeats == again.close(failed, endSeconds: number))
            #expect(repeats.canary + repeats.stable == 3)
            onCanary += 1 - repeats.canary
        }
        #expect((850...1150).contains(onCanary), "a quarter of 4,000, and not \(onCanary)")
    }
}
