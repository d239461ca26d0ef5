import Contracts
import Foundation
import Storage
import Testing

private typealias Limits = `Label limits`

/// What the dispatcher takes at once, however large the tasks are.
@Suite(.timeLimit(.minutes(10))) struct `Taking large tasks` {
    @Test(arguments: [LabelLimits.none, Limits.limits(["gpu=a": 1])])
    func `a take ends when it is large enough, lets others by, and says where there is more`(
        limits: LabelLimits
    ) async throws {
        try await Limits.Bench.with { bench in
            try await bench.queue(40, name: "large")
            try await bench.queue(1, role: "tester", name: "small")
            try await bench.database.sql(
                "UPDATE tasks SET input = to_json(repeat('x', 1 << 20)) WHERE role = 'developer'")
            let grants = [(Limits.developer, 40), (Limits.tester, 1)]
            let first = try await bench.take(grants, within: limits)
            #expect(first.result.count == 17 && first.result.contains("small"))
            #expect(first.unfinished == [Limits.developer])
            let second = try await bench.take(grants, within: limits)
            #expect(second.result.count == 16 && second.unfinished == [Limits.developer])
            let third = try await bench.take(grants, within: limits)
            #expect(third.result.count == 8 && third.unfinished.isEmpty)
        }
    }

    @Test(arguments: [LabelLimits.none, Limits.limits(["gpu=a": 1])])
    func `the prompt that each goes out with counts`(limits: LabelLimits) async throws {
        try await Limits.Bench.with { bench in
            try await bench.queue(100)
            let taken = try await bench.take([(Limits.developer, 100)], within: limits, promptBytes: 256 << 10)
            #expect(taken.result.count == 64 && taken.unfinished == [Limits.developer])
        }
    }

    @Test func `one task is taken however large it is`() async throws {
        try await Limits.Bench.with { bench in
            try await bench.queue(2)
            let taken = try await bench.take([(Limits.developer, 2)], within: .none, promptBytes: 1 << 30)
            #expect(taken.result.count == 1 && taken.unfinished == [Limits.developer])
        }
    }
}
