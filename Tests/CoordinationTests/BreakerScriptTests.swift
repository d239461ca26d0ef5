import Redis
import TestSupport
import Testing

@testable import Coordination

/// The shared record: its rules, and that Redis keeps to them.
@Suite(.timeLimit(.minutes(3))) struct BreakerScriptTests {
    typealias Event = FleetRecord.Event

    static let noCounts = CallWindow.Counts()

    static func terms(replicas: Int64 = 1, idle: BreakerPolicy.Idle = .close) -> FleetRecord.Terms {
        FleetRecord.Terms(
            cycle: BreakerTerms(BreakerPolicy(jitterPercent: 0, idle: idle), unit: 1000), replicas: replicas)
    }

    static func vote(_ replica: String, _ record: FleetRecord, own: Int64 = 2) -> Event {
        .report(replica: replica, version: record.version, own: own, noCounts)
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2), (6, 3), (7, 3), (8, 4), (10, 4), (11, 5), (100, 40)])
    func `the fleet opens at two votes and two in five`(replicas: Int64, needed: Int) {
        var record = FleetRecord(now: 1000)
        for number in 1...needed {
            #expect(record.cycle.isClosed, "before vote \(number)")
            _ = record.apply(Self.vote("r\(number)", record), now: 1000, terms: Self.terms(replicas: replicas))
        }
        #expect(record.cycle.phase == .open(until: 6000))
    }

    @Test func `who reports counts as live`() {
        var record = FleetRecord(now: 1000)
        for number in 1...10 {
            _ = record.apply(Self.vote("r\(number)", record, own: 0), now: 1000, terms: Self.terms())
        }
        for number in 1...3 { _ = record.apply(Self.vote("r\(number)", record), now: 1000, terms: Self.terms()) }
        #expect(record.cycle.isClosed)
        _ = record.apply(Self.vote("r4", record), now: 1000, terms: Self.terms())
        #expect(record.cycle.state == .open)
    }

    @Test func `the votes of replicas that are gone do not count`() {
        var record = FleetRecord(now: 1000)
        let terms = Self.terms(replicas: 3)
        _ = record.apply(Self.vote("a", record), now: 1000, terms: terms)
        _ = record.apply(Self.vote("b", record), now: 6001, terms: terms)
        #expect(record.cycle.isClosed && record.reports.count == 1)
    }

    @Test func `a vote from before a reset does not count`() {
        var record = FleetRecord(now: 1000)
        let terms = Self.terms()
        let old = record.version
        let reset = Event.command(.automatic, duration: 0, reason: "", actor: "", expected: nil)
        #expect(record.apply(reset, now: 1000, terms: terms) == .noted)
        _ = record.apply(.report(replica: "a", version: old, own: 2, Self.noCounts), now: 1000, terms: terms)
        #expect(record.cycle.isClosed && record.reports["a"]?.isVote == false)
        _ = record.apply(Self.vote("a", record), now: 1000, terms: terms)
        #expect(record.cycle.state == .open)
    }

    @Test func `a command expects the version it saw, and a mode ends in time`() {
        var record = FleetRecord(now: 1000)
        let terms = Self.terms()
        func force(_ expected: Int64) -> Event {
            .command(.forcedOpen, duration: 9000, reason: "r", actor: "a", expected: expected)
        }
        #expect(record.apply(force(record.version - 1), now: 1000, terms: terms) == .stale)
        #expect(record.mode == .automatic)
        #expect(record.apply(force(record.version), now: 1000, terms: terms) == .noted)
        #expect(record.mode == .forcedOpen && record.reason == "r")
        #expect(record.apply(.acquire(lease: "l"), now: 9999, terms: terms) == .refused)
        _ = record.apply(Self.vote("a", record), now: 9999, terms: terms)
        #expect(record.reports["a"]?.isVote == false)
        #expect(record.apply(.acquire(lease: "l"), now: 10_000, terms: terms) == .passed)
        #expect(record.mode == .automatic && record.reason.isEmpty && record.cycle.isClosed)
    }

    /// One random event; it knows leases and versions that are, were and never were.
    private static func event(
        _ record: FleetRecord, leases: [String], random: inout SeededGenerator
    ) -> Event {
        let version = record.version - Int64(Int.random(in: 0..<5, using: &random) == 0 ? 1 : 0)
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<9:
            let counts = CallWindow.Counts(calls: Int64.random(in: 0...99, using: &random), failures: 3, slow: 0)
            let own: Int64 = Int.random(in: 0..<3, using: &random) == 0 ? .random(in: 1...2, using: &random) : 0
            return .report(replica: "r\(Int.random(in: 1...7, using: &random))", version: version, own: own, counts)
        case 9..<13: return .acquire(lease: "a/\(Int.random(in: 0..<1_000_000, using: &random))")
        case 13..<18:
            let outcomes: [BreakerOutcome] = [.success, .success, .success, .success, .ignored, .failure, .slow]
            return .finish(
                lease: leases.randomElement(using: &random) ?? "a/none", outcomes.randomElement(using: &random) ?? .slow
            )
        case 18: return .look
        default:
            let mode =
                Int.random(in: 0..<2, using: &random) == 0
                ? .automatic : BreakerMode.allCases.randomElement(using: &random) ?? .automatic
            return .command(
                mode, duration: Bool.random(using: &random) ? 0 : .random(in: 1...20_000, using: &random),
                reason: "wörds: {of} \"any\" kind", actor: "", expected: Bool.random(using: &random) ? version : nil)
        }
    }

    @Test(arguments: UInt64(1)...8)
    func `the script in Redis decides as the model here`(seed: UInt64) async throws {
        try await withRedis { _, redis in
            var random = SeededGenerator(seed)
            var now: Int64 = 1_800_000_000_000
            var record = FleetRecord(now: now)
            var leases: [String] = []
            var seen: Set<String> = []
            var jumps = SeededGenerator(seed + 100)
            for step in 0..<1500 {
                now += Int64.random(
                    in: 0...(Int.random(in: 0..<20, using: &random) == 0 ? 40_000 : 900), using: &random)
                if step == 0 { now = record.born }
                // A clock that is set, or another server's after a failover.
                if step > 0, Int.random(in: 0..<40, using: &jumps) == 0 {
                    now -= Int64.random(in: 1...3_600_000, using: &jumps)
                }
                var terms = Self.terms(
                    replicas: .random(in: 1...6, using: &random), idle: Bool.random(using: &random) ? .close : .reopen)
                terms.cycle.jitter = .random(in: -200...200, using: &random)
                let event = Self.event(record, leases: leases, random: &random)
                let before = record.version
                let reply = try await redis.evaluate(
                    BreakerScript.script, keys: ["k"], arguments: BreakerScript.arguments(event, terms: terms, now: now)
                )
                let old = record.cycle.state
                let answer = record.apply(event, now: now, terms: terms)
                let decoded = try #require(BreakerScript.reply(reply))
                #expect(
                    decoded
                        == BreakerScript.Reply(
                            answer: answer, now: now, isNews: record.version != before, record: record),
                    "step \(step): \(event)")
                if case .acquire(let lease) = event, answer == .granted { leases.append(lease) }
                if case .halfOpen(let probation) = record.cycle.phase {
                    #expect(probation.granted <= 5 && probation.leases.count <= 5)
                }
                seen.insert("\(old.word)>\(record.cycle.state.word)")
                seen.insert("\(answer)")
                seen.insert("\(record.mode)")
            }
            // Every transition there is, and every answer and mode, has been compared.
            let transitions = ["closed>open", "open>half_open", "half_open>open", "half_open>closed", "open>closed"]
            let answers = ["noted", "granted", "refused", "passed", "stale"]
            let modes = ["automatic", "forcedOpen", "disabled", "metricsOnly"]
            #expect(seen.isSuperset(of: transitions + answers + modes), "\(seen)")
        }
    }

    @Test func `when Redis' clock goes back an hour, what was due in seconds still is`() async throws {
        try await withRedis { _, redis in
            let start: Int64 = 1_800_000_000_000
            let back = start - 3_600_000
            let terms = Self.terms()
            var record = FleetRecord(now: start)
            let force = Event.command(.forcedOpen, duration: 9000, reason: "r", actor: "a", expected: nil)
            // When, what, and the state it leaves.
            let steps: [(now: Int64, event: Event, state: BreakerState)] = [
                (start, .report(replica: "r", version: start, own: 2, Self.noCounts), .open),
                (back, .look, .open), (back + 4999, .look, .open), (back + 5000, .look, .halfOpen),
                (back + 5000, .acquire(lease: "a"), .halfOpen),
                // Again, with a probe under way that nobody hears of.
                (back - 60_000, .look, .halfOpen), (back - 60_000 + 29_999, .look, .halfOpen),
                (back - 60_000 + 30_000, .look, .open),
                (back, force, .closed), (back - 1000, .look, .closed), (back + 7999, .look, .closed),
            ]
            for (place, step) in steps.enumerated() {
                let arguments = BreakerScript.arguments(step.event, terms: terms, now: step.now)
                let reply = try await redis.evaluate(BreakerScript.script, keys: ["k"], arguments: arguments)
                _ = record.apply(step.event, now: step.now, terms: terms)
                #expect(BreakerScript.reply(reply)?.record == record, "step \(place)")
                #expect(record.cycle.state == step.state, "step \(place)")
                #expect(record.reports.values.allSatisfy { $0.at <= step.now }, "step \(place)")
            }
            #expect(record.mode == .forcedOpen)
            _ = record.apply(.look, now: back + 8000, terms: terms)
            #expect(record.mode == .automatic)
        }
    }

    @Test func `probes that found nothing out close neither the script's breaker nor the model's`() async throws {
        try await withRedis { _, redis in
            let start: Int64 = 1_800_000_000_000
            var terms = Self.terms()
            terms.cycle.probes = 2
            var record = FleetRecord(now: start)
            // When, what, and the state it leaves.
            let steps: [(now: Int64, event: Event, state: BreakerState)] = [
                (start, .report(replica: "r", version: start, own: 2, Self.noCounts), .open),
                (start + 5000, .acquire(lease: "a"), .halfOpen), (start + 5000, .acquire(lease: "b"), .halfOpen),
                (start + 6000, .finish(lease: "a", .ignored), .halfOpen),
                (start + 6000, .finish(lease: "b", .ignored), .open),
                // Not all are used, and its time is over.
                (start + 11_000, .acquire(lease: "c"), .halfOpen),
                (start + 12_000, .finish(lease: "c", .ignored), .halfOpen),
                (start + 70_999, .look, .halfOpen), (start + 71_000, .look, .open), (start + 76_000, .look, .halfOpen),
                // Nobody has called.
                (start + 136_000, .look, .closed),
            ]
            for (place, step) in steps.enumerated() {
                let arguments = BreakerScript.arguments(step.event, terms: terms, now: step.now)
                let reply = try await redis.evaluate(BreakerScript.script, keys: ["k"], arguments: arguments)
                _ = record.apply(step.event, now: step.now, terms: terms)
                #expect(BreakerScript.reply(reply)?.record == record, "step \(place)")
                #expect(record.cycle.state == step.state, "step \(place)")
            }
        }
    }

    @Test func `a reply of another shape is none`() {
        for reply in [RedisReply.null, .array([]), .array([.integer(0)]), .array([.integer(99)]), .integer(1)] {
            #expect(BreakerScript.reply(reply) == nil)
        }
    }
}
