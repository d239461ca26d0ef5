import Testing

@testable import Coordination

/// Every transition of a replica's own breaker.
@Suite struct BreakerCoreTests {
    /// What happens, and what must be so afterwards.
    enum Step: Sendable {
        /// Seconds pass.
        case wait(Double)
        /// So many calls are admitted and end like this.
        case calls(Int, BreakerOutcome)
        /// So many calls are admitted and go on; they are kept, in order.
        case begin(Int)
        /// The oldest call that goes on ends.
        case end(BreakerOutcome)
        case refused(seconds: Double)
        case tick
        case reset
        case adopt(seconds: Double, openings: Int64)
        case uncounting(Int, BreakerOutcome)
        case isClosed
        /// Open, and for so long from now.
        case isOpen(seconds: Double)
        case isHalfOpen
        case counts(Int64, Int64, Int64)
    }

    struct Story: Sendable, CustomTestStringConvertible {
        let name: String
        var policy = BreakerPolicy(jitterPercent: 0)
        var share: Int64 = 1
        let steps: [Step]

        var testDescription: String { name }
    }

    static let trip: [Step] = [.calls(20, .failure), .isOpen(seconds: 5)]
    static let halfOpen: [Step] = trip + [.wait(5), .tick, .isHalfOpen]
    static let reopening = BreakerPolicy(jitterPercent: 0, idle: .reopen)

    static let stories = [
        // Closed.
        Story(name: "nineteen failures conclude nothing", steps: [.calls(19, .failure), .isClosed]),
        Story(name: "the twentieth failure opens", steps: trip),
        Story(
            name: "a success may be the twentieth call",
            steps: [
                .calls(19, .failure), .isClosed, .calls(1, .success), .isOpen(seconds: 5),
            ]),
        Story(
            name: "half of the calls failed",
            steps: [
                .calls(10, .success), .calls(9, .failure), .isClosed, .calls(1, .failure), .isOpen(seconds: 5),
            ]),
        Story(name: "less than half failed", steps: [.calls(11, .success), .calls(9, .failure), .isClosed]),
        Story(
            name: "four in five were slow",
            steps: [
                .calls(4, .success), .calls(15, .slow), .isClosed, .calls(1, .slow), .isOpen(seconds: 5),
            ]),
        Story(name: "less were slow", steps: [.calls(5, .success), .calls(15, .slow), .isClosed]),
        Story(
            name: "slow calls are no failures and failures not slow",
            steps: [
                .calls(9, .failure), .calls(11, .slow), .isClosed, .counts(20, 9, 11),
            ]),
        Story(
            name: "what is ignored does not count",
            steps: [
                .calls(100, .ignored), .counts(0, 0, 0), .calls(19, .failure), .isClosed,
            ]),
        Story(
            name: "what is ten seconds old does not count",
            steps: [
                .calls(19, .failure), .wait(10), .calls(1, .failure), .isClosed, .counts(1, 1, 0),
            ]),
        Story(
            name: "what is nine seconds old counts",
            steps: [
                .calls(19, .failure), .wait(9), .calls(1, .failure), .isOpen(seconds: 5),
            ]),
        Story(
            name: "calls that are only counted never open",
            steps: [
                .uncounting(40, .failure), .isClosed, .counts(40, 40, 0),
            ]),
        Story(
            name: "time does nothing to a closed one",
            steps: [.calls(19, .failure), .tick, .wait(3600), .tick, .isClosed]),
        // Open.
        Story(name: "an open one refuses and says for how long", steps: trip + [.wait(1), .refused(seconds: 4)]),
        Story(
            name: "what ends after it opened changes nothing",
            steps: [
                .begin(3), .calls(20, .failure), .end(.success), .end(.failure), .end(.slow), .isOpen(seconds: 5),
            ]),
        Story(
            name: "an open one stays so until its time",
            steps: trip + [.wait(4.999999), .tick, .isOpen(seconds: 0.000001)]),
        Story(name: "then it is half-open", steps: halfOpen),
        // Half-open.
        Story(
            name: "five probes go and the sixth does not",
            steps: halfOpen + [.begin(5), .refused(seconds: 1), .isHalfOpen]),
        Story(name: "the call that finds it due is the first probe", steps: trip + [.wait(5), .begin(1), .isHalfOpen]),
        Story(
            name: "five that succeed close it and the window is empty",
            steps: halfOpen + [
                .begin(5), .end(.success), .end(.success), .end(.success), .end(.success), .isHalfOpen, .end(.success),
                .isClosed, .counts(0, 0, 0), .calls(19, .failure), .isClosed,
            ]),
        Story(
            name: "one that fails opens it for twice as long",
            steps: halfOpen + [
                .begin(5), .end(.success), .end(.failure), .isOpen(seconds: 10), .end(.success), .end(.success),
                .end(.success), .isOpen(seconds: 10),
            ]),
        Story(name: "a slow probe has failed", steps: halfOpen + [.begin(1), .end(.slow), .isOpen(seconds: 10)]),
        Story(
            name: "a probe not heard of has failed",
            steps: halfOpen + [
                .begin(1), .wait(29.9), .tick, .isHalfOpen, .wait(0.1), .tick, .isOpen(seconds: 10),
            ]),
        Story(
            name: "a probe heard of too late has failed",
            steps: halfOpen + [
                .begin(1), .wait(30), .end(.success), .isOpen(seconds: 10),
            ]),
        Story(
            name: "a call from before it opened is no probe",
            steps: [
                .begin(1), .calls(20, .failure), .wait(5), .tick, .end(.failure), .isHalfOpen,
            ]),
        Story(
            name: "ignored probes are used up and the others decide",
            steps: halfOpen + [
                .begin(5), .end(.ignored), .end(.ignored), .end(.success), .end(.ignored), .isHalfOpen, .end(.ignored),
                .isClosed,
            ]),
        Story(
            name: "with nothing but ignored ones it opens again, no longer than before",
            steps: halfOpen + [
                .begin(5), .end(.ignored), .end(.ignored), .end(.ignored), .end(.ignored), .end(.ignored),
                .isOpen(seconds: 5), .wait(5), .tick, .isHalfOpen,
            ]),
        Story(
            name: "few and ignored, they open it again at the deadline",
            steps: halfOpen + [
                .begin(1), .end(.ignored), .isHalfOpen, .wait(60), .tick, .isOpen(seconds: 5), .wait(5), .tick,
                .isHalfOpen, .wait(60), .tick, .isClosed,
            ]),
        Story(
            name: "no traffic closes",
            steps: halfOpen + [.wait(59.9), .tick, .isHalfOpen, .wait(0.1), .tick, .isClosed]),
        Story(
            name: "no traffic opens again, no longer than before", policy: reopening,
            steps: halfOpen + [
                .wait(60), .tick, .isOpen(seconds: 5), .wait(5), .tick, .isHalfOpen,
            ]),
        Story(
            name: "too few probes, but good ones, close at the deadline", policy: reopening,
            steps: halfOpen + [
                .begin(1), .end(.success), .isHalfOpen, .wait(60), .tick, .isClosed,
            ]),
        Story(
            name: "the deadline waits for a probe under way",
            steps: halfOpen + [
                .wait(59), .begin(1), .wait(2), .tick, .isHalfOpen, .end(.failure), .isOpen(seconds: 10),
            ]),
        Story(
            name: "alone, a replica of three makes one probe of five", share: 3,
            steps: halfOpen + [
                .begin(1), .refused(seconds: 1), .end(.success), .isClosed,
            ]),
        Story(
            name: "a replica of a hundred makes one probe still", share: 100,
            steps: halfOpen + [
                .begin(1), .refused(seconds: 1),
            ]),
        // Commands.
        Story(
            name: "a reset closes an open one",
            steps: trip + [.reset, .isClosed, .counts(0, 0, 0), .calls(19, .failure), .isClosed]),
        Story(
            name: "a reset clears the window of a closed one",
            steps: [
                .calls(19, .failure), .reset, .calls(19, .failure), .isClosed, .calls(1, .failure), .isOpen(seconds: 5),
            ]),
        Story(
            name: "after a reset late results are ignored",
            steps: [
                .begin(30), .reset,
            ] + Array(repeating: .end(.failure), count: 30) + [.isClosed, .counts(0, 0, 0)]),
        Story(
            name: "after a reset late probes are ignored",
            steps: halfOpen + [.begin(1), .reset, .end(.failure), .isClosed]),
        Story(
            name: "closing forgets how often it opened",
            steps: halfOpen + [
                .begin(1), .end(.failure), .isOpen(seconds: 10), .reset, .calls(20, .failure), .isOpen(seconds: 5),
            ]),
        Story(
            name: "it opens as the fleet does",
            steps: [
                .adopt(seconds: 7, openings: 2), .isOpen(seconds: 7), .wait(7), .begin(1), .end(.failure),
                .isOpen(seconds: 20),
            ]),
    ]

    @Test(arguments: stories)
    func `each transition is as the story says`(story: Story) throws {
        var run = Run(core: BreakerCore(story.policy), share: story.share)
        for (number, step) in story.steps.enumerated() {
            try run.take(step, Comment(rawValue: "step \(number): \(step)"))
        }
    }

    private struct Run {
        var core: BreakerCore
        let share: Int64
        /// The beginning of a second, so that the window's ten seconds are ten.
        var now: Int64 = 1_000_000_000
        var underWay: [BreakerCore.Ticket] = []

        mutating func take(_ step: Step, _ place: Comment) throws {
            switch step {
            case .wait(let seconds): now += Int64((seconds * 1_000_000).rounded())
            case .calls(let count, let outcome): try call(count, outcome, mayTrip: true, place)
            case .uncounting(let count, let outcome): try call(count, outcome, mayTrip: false, place)
            case .begin(let count): for _ in 0..<count { underWay.append(try admit(place)) }
            case .end(let outcome):
                _ = core.apply(.finished(underWay.removeFirst(), outcome, mayTrip: true), now: now, share: share)
            case .tick: _ = core.apply(.tick, now: now, share: share)
            case .reset: _ = core.apply(.reset, now: now)
            case .adopt(let seconds, let openings):
                _ = core.apply(.opened(until: later(seconds), openings: openings), now: now)
            case .refused(let seconds):
                #expect(core.apply(.ask, now: now, share: share) == .refuse(retry: later(seconds) - now), place)
            case .isClosed: #expect(core.cycle.phase == .closed, place)
            case .isOpen(let seconds): #expect(core.cycle.phase == .open(until: later(seconds)), place)
            case .isHalfOpen: #expect(core.cycle.state == .halfOpen, place)
            case .counts(let calls, let failures, let slow):
                let expected = CallWindow.Counts(calls: calls, failures: failures, slow: slow)
                #expect(core.window.counts(now: now) == expected, place)
            }
        }

        private func later(_ seconds: Double) -> Int64 { now + Int64((seconds * 1_000_000).rounded()) }

        private mutating func admit(_ place: Comment) throws -> BreakerCore.Ticket {
            guard case .admit(let ticket) = core.apply(.ask, now: now, share: share) else {
                throw Unexpected(description: "refused at \(place)")
            }
            return ticket
        }

        private mutating func call(_ count: Int, _ outcome: BreakerOutcome, mayTrip: Bool, _ place: Comment) throws {
            for _ in 0..<count {
                let ticket = try admit(place)
                _ = core.apply(.finished(ticket, outcome, mayTrip: mayTrip), now: now, share: share)
            }
        }
    }

    struct Unexpected: Error { let description: String }

    @Test func `the wait doubles to its bound and varies by a fifth`() {
        var terms = BreakerTerms(BreakerPolicy(), unit: 1000)
        let waits = (0..<8).map { terms.wait(openings: $0) }
        #expect(waits == [5000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000, 120_000])
        #expect(terms.wait(openings: .max) == 120_000)
        terms.jitter = -200
        #expect(terms.wait(openings: 0) == 4000)
        terms.jitter = 200
        #expect(terms.wait(openings: 9) == 144_000)
        let jitters = (0..<5000).map { BreakerTerms.jitter(seed: $0, percent: 20) }
        #expect(jitters.min() == -200 && jitters.max() == 200)
        let mean = jitters.reduce(0, +) / 5000
        #expect((-10...10).contains(mean))
        #expect((0..<100).allSatisfy { BreakerTerms.jitter(seed: $0, percent: 0) == 0 })
    }

    @Test func `a bounded window agrees with one that keeps every call`() {
        var random = SeededGenerator(7)
        var window = CallWindow()
        var calls: [(second: Int64, outcome: BreakerOutcome)] = []
        var now: Int64 = 5_000_000_000
        for _ in 0..<20_000 {
            now += Int64.random(
                in: 0...(Int.random(in: 0..<50, using: &random) == 0 ? 15_000_000 : 400_000), using: &random)
            let outcome = BreakerOutcome.allCases.randomElement(using: &random) ?? .success
            window.count(outcome, now: now)
            calls.append((now / 1_000_000, outcome))
            calls.removeAll { $0.second <= now / 1_000_000 - 10 }
            let expected = CallWindow.Counts(
                calls: Int64(calls.count { $0.outcome != .ignored }),
                failures: Int64(calls.count { $0.outcome == .failure }),
                slow: Int64(calls.count { $0.outcome == .slow })
            )
            #expect(window.counts(now: now) == expected)
        }
    }
}
