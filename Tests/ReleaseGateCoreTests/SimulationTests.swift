import ReleaseGateCore
import Testing

@testable import gate_simulation

/// A few of the walks that `scripts/bench gate` makes by the thousand; their seeds are fixed, so that they end the same
/// each time.
@Suite struct `Simulated canaries` {
    private static func play(_ name: String, runs: Int) async throws -> Scenario.Outcome {
        let scenario = try #require(Scenario.all.first { $0.name == name })
        return try await scenario.play(runs: runs, workers: 2)
    }

    @Test func `a good release is not rolled back, looked at every 30 s for an hour`() async throws {
        let slow = try await Self.play("good-2", runs: 16)
        #expect(slow.gate.share == 0, "\(slow.rows)")
        #expect(slow.fixedThreshold.share > 0.9)
        #expect(try await Self.play("good-20", runs: 6).gate.share == 0)
    }

    @Test func `one caller who retries rolls nothing back where callers are known`() async throws {
        #expect(try await Self.play("clumped-20", runs: 8).gate.share == 0)
        #expect(try await Self.play("clumped-raw-20", runs: 8).gate.share > 0)
    }

    @Test func `one caller who retries rolls nothing back where callers are known by their bucket`() async throws {
        #expect(try await Self.play("clumped-bucket-20", runs: 8).gate.share == 0)
        #expect(try await Self.play("good-bucket-20", runs: 6).gate.share == 0)
        #expect(try await Self.play("tenfold-bucket-20", runs: 20).gate.share == 1)
    }

    @Test func `ten times the failures are found nearly as soon as the bare test finds them`() async throws {
        let outcome = try await Self.play("tenfold-even-20", runs: 200)
        #expect(outcome.gate.share == 1)
        let (gate, reference) = (outcome.gate.medianMinutes, outcome.reference.medianMinutes)
        #expect(try #require(gate) <= 1.2 * #require(reference))
    }

    @Test func `a caller's failure counts once in a while, whichever side it comes from`() {
        var counter = EpisodeCounter(spacingSeconds: 60)
        counter.addGood(10, on: .canary)
        counter.addBad(caller: 1, on: .canary, atSeconds: 0)
        counter.addBad(caller: 1, on: .stable, atSeconds: 10)
        counter.addBad(caller: 2, on: .stable, atSeconds: 10)
        let first = counter.closeInterval(atSeconds: 30)
        #expect(first.canary == Sample(total: 11, bad: 1))
        #expect(first.stable == Sample(total: 2, bad: 2, repeats: 1))
        counter.addBad(caller: 1, on: .canary, atSeconds: 59)
        counter.addBad(caller: 1, on: .canary, atSeconds: 61)
        #expect(counter.closeInterval(atSeconds: 61).canary == Sample(total: 2, bad: 2, repeats: 1))
    }
}
