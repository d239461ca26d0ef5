import Redis
import TestSupport
import Testing

@testable import Coordination

@Suite(.timeLimit(.minutes(3))) struct CellRateTests {
    typealias Cell = CellRate.Cell
    typealias Verdict = CellRate.Verdict

    struct Row: Sendable {
        let name: String
        let cells: [Cell]
        var force = false
        let allowed: Bool
        let verdicts: [Verdict]
    }

    static let now: Int64 = 1_000_000

    /// `arrival` in microseconds from now.
    static func cell(_ cost: Int64, burst: Int64 = 5, interval: Int64 = 100, arrival: Int64? = nil) -> Cell {
        Cell(interval: interval, burst: burst, cost: cost, arrival: arrival.map { now + $0 })
    }

    static func verdict(retry: Int64 = 0, remaining: Int64, reset: Int64) -> Verdict {
        Verdict(retry: retry, remaining: remaining, reset: reset, arrival: now + reset)
    }

    static let rows = [
        Row(name: "a first unit", cells: [cell(1)], allowed: true, verdicts: [verdict(remaining: 4, reset: 100)]),
        Row(name: "the whole burst", cells: [cell(5)], allowed: true, verdicts: [verdict(remaining: 0, reset: 500)]),
        Row(
            name: "more than the burst, never", cells: [cell(6)], allowed: false,
            verdicts: [verdict(retry: -1, remaining: 5, reset: 0)]
        ),
        Row(
            name: "the last unit", cells: [cell(1, arrival: 400)], allowed: true,
            verdicts: [verdict(remaining: 0, reset: 500)]
        ),
        Row(
            name: "one microsecond early", cells: [cell(1, arrival: 401)], allowed: false,
            verdicts: [verdict(retry: 1, remaining: 0, reset: 401)]
        ),
        Row(
            name: "a used-up key waits one interval", cells: [cell(1, arrival: 500)], allowed: false,
            verdicts: [verdict(retry: 100, remaining: 0, reset: 500)]
        ),
        Row(
            name: "a part of a unit is no unit", cells: [cell(0, arrival: 201)], allowed: true,
            verdicts: [verdict(remaining: 2, reset: 201)]
        ),
        Row(
            name: "an old arrival is no credit beyond the burst", cells: [cell(5, arrival: -9_000)], allowed: true,
            verdicts: [verdict(remaining: 0, reset: 500)]
        ),
        Row(name: "asking takes nothing", cells: [cell(0)], allowed: true, verdicts: [verdict(remaining: 5, reset: 0)]),
        Row(
            name: "all or nothing", cells: [cell(1), cell(1, arrival: 500)], allowed: false,
            verdicts: [verdict(remaining: 5, reset: 0), verdict(retry: 100, remaining: 0, reset: 500)]
        ),
        Row(
            name: "never beats later", cells: [cell(9), cell(1, arrival: 500)], allowed: false,
            verdicts: [verdict(retry: -1, remaining: 5, reset: 0), verdict(retry: 100, remaining: 0, reset: 500)]
        ),
        Row(
            name: "a debt", cells: [cell(3, arrival: 400)], force: true, allowed: true,
            verdicts: [verdict(remaining: 0, reset: 700)]
        ),
        Row(
            name: "a debt is bounded by one burst", cells: [cell(.max, arrival: 400)], force: true, allowed: true,
            verdicts: [verdict(remaining: 0, reset: 1000)]
        ),
        Row(
            name: "asking under a debt waits for the debt", cells: [cell(0, arrival: 700)], allowed: false,
            verdicts: [verdict(retry: 200, remaining: 0, reset: 700)]
        ),
        Row(
            name: "giving back", cells: [cell(-2, arrival: 400)], force: true, allowed: true,
            verdicts: [verdict(remaining: 3, reset: 200)]
        ),
        Row(
            name: "giving back more than was taken", cells: [cell(.min, arrival: 400)], force: true, allowed: true,
            verdicts: [verdict(remaining: 5, reset: 0)]
        ),
        Row(
            name: "a clock that jumped back locks out for two bursts at most", cells: [cell(1, arrival: 9_000_000)],
            allowed: false, verdicts: [verdict(retry: 600, remaining: 0, reset: 1000)]
        ),
    ]

    @Test(arguments: rows)
    func `the arithmetic follows the table`(row: Row) {
        let outcome = CellRate.decide(row.cells, now: Self.now, force: row.force)
        let expected = CellRate.Outcome(allowed: row.allowed, verdicts: row.verdicts, at: Self.now)
        #expect(outcome == expected, "\(row.name)")
    }

    @Test(arguments: UInt64(1)...20)
    func `in any window the cost admitted is at most the burst and the rate times the window`(seed: UInt64) {
        var random = SeededGenerator(seed)
        let interval = Int64.random(in: 1...5000, using: &random)
        let burst = Int64.random(in: 1...50, using: &random)
        var now: Int64 = 0
        var arrival: Int64?
        var exact = true
        var admitted: [(at: Int64, cost: Int64)] = []
        for _ in 0..<300 {
            now += Int64.random(in: 0...(Bool.random(using: &random) ? 3 : interval * 4), using: &random)
            let cost = Int64.random(in: 1...max(1, burst / 2), using: &random)
            let cell = Cell(interval: interval, burst: burst, cost: cost, arrival: arrival)
            let outcome = CellRate.decide([cell], now: now)
            arrival = outcome.verdicts[0].arrival
            if outcome.allowed {
                admitted.append((now, cost))
            } else {
                // The wait it names is exact: one microsecond less is refused, the wait itself passes.
                let retry = outcome.verdicts[0].retry
                let again = Cell(interval: interval, burst: burst, cost: cost, arrival: arrival)
                exact = exact && !CellRate.decide([again], now: now + retry - 1).allowed
                exact = exact && CellRate.decide([again], now: now + retry).allowed
            }
        }
        #expect(exact)
        #expect(admitted.count > 20)
        var excess: Int64 = .min
        for first in admitted.indices {
            var sum: Int64 = 0
            for last in first..<admitted.count {
                sum += admitted[last].cost
                let window = admitted[last].at - admitted[first].at
                excess = max(excess, sum * interval - burst * interval - window)
            }
        }
        #expect(excess <= 0)
    }

    @Test(arguments: UInt64(1)...8)
    func `the script in Redis decides as the arithmetic here`(seed: UInt64) async throws {
        try await withRedis { _, redis in
            var random = SeededGenerator(seed)
            // Long intervals: the server's own clock, which lets keys expire, must not overtake the test's.
            let shapes = (0..<4).map { _ in
                (Int64.random(in: 10_000_000...900_000_000, using: &random), Int64.random(in: 1...20, using: &random))
            }
            var arrivals: [Int: Int64] = [:]
            var now: Int64 = 1_800_000_000_000_000
            var seen: Set<String> = []
            for _ in 0..<400 {
                now += Int64.random(in: 0...400_000_000, using: &random)
                let force = Int.random(in: 0..<8, using: &random) == 0
                let picked = (0..<4).filter { _ in Bool.random(using: &random) }
                guard !picked.isEmpty else { continue }
                var cells = picked.map { index in
                    let (interval, burst) = shapes[index]
                    let cost = Int64.random(in: (force ? -burst : 0)...(burst + 1), using: &random)
                    return Cell(interval: interval, burst: burst, cost: cost, arrival: arrivals[index])
                }
                let requests = force ? 1 : Int.random(in: 1...5, using: &random)
                let reply = try await redis.evaluate(
                    RateScript.script, keys: picked.map { "key\($0)" },
                    arguments: RateScript.arguments(cells, requests: requests, now: now, force: force)
                )
                var expected: [CellRate.Outcome] = []
                for _ in 0..<requests {
                    let outcome = CellRate.decide(cells, now: now, force: force)
                    expected.append(outcome)
                    guard outcome.allowed else { continue }
                    for place in cells.indices {
                        cells[place].arrival = outcome.verdicts[place].arrival
                        arrivals[picked[place]] = outcome.verdicts[place].arrival
                    }
                }
                #expect(RateScript.outcomes(reply, cells: cells, requests: requests, now: now) == expected)
                for outcome in expected {
                    let never = outcome.verdicts.contains { $0.retry < 0 }
                    seen.insert(outcome.allowed ? "allowed" : never ? "never" : "later")
                }
                if Set(expected.map(\.allowed)).count == 2 { seen.insert("cut short") }
            }
            #expect(seen == ["allowed", "never", "later", "cut short"])
        }
    }

    @Test func `the script bears a clock that jumps back as the arithmetic does`() async throws {
        try await withRedis { _, redis in
            func decide(_ cell: Cell, now: Int64) async throws -> CellRate.Outcome? {
                let arguments = RateScript.arguments([cell], now: now)
                let reply = try await redis.evaluate(RateScript.script, keys: ["k"], arguments: arguments)
                return RateScript.outcomes(reply, cells: [cell], requests: 1, now: now)?.first
            }
            let then: Int64 = 1_800_000_000_000_000
            var cell = Cell(interval: 60_000_000, burst: 10, cost: 10, arrival: nil)
            let first = try #require(await decide(cell, now: then))
            #expect(first == CellRate.decide([cell], now: then))
            cell.arrival = first.verdicts[0].arrival
            let before = then - 86_400_000_000
            let second = try #require(await decide(cell, now: before))
            #expect(second == CellRate.decide([cell], now: before))
            #expect(second.verdicts[0].retry == 20 * 60_000_000)
        }
    }
}
