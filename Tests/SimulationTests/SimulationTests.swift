import Foundation
import Testing

/// The cores of the task machine, the dispatcher, the reviews, the budgets and the breakers, driven together through
/// losses, repetitions, delays and crashes.
///
/// - `GOLDEN_SIMULATION_SCHEDULES` is how many schedules there are; `scripts/test` runs 100,000.
/// - `GOLDEN_SIMULATION_SEED` runs that one schedule alone, and prints it step by step.
@Suite(.serialized) struct `Simulation` {
    private static let environment = ProcessInfo.processInfo.environment
    private static let schedulesDefault: UInt64 = 2000

    private static func told(_ seed: UInt64, _ plant: Plant? = nil) -> String {
        let steps = Schedules.trace(seed: seed, plant: plant).joined(separator: "\n")
        return "\(steps)\n\nAgain: GOLDEN_SIMULATION_SEED=\(seed) swift test --filter '^SimulationTests'"
    }

    @Test func `every accepted task ends once, and everything adds up, whatever goes wrong`() async {
        if let seed = Self.environment["GOLDEN_SIMULATION_SEED"].flatMap({ UInt64($0) }) {
            let fault = Schedules.fault(seed: seed)
            print(Self.told(seed))
            #expect(fault == nil)
            return
        }
        let count = Self.environment["GOLDEN_SIMULATION_SCHEDULES"].flatMap { UInt64($0) } ?? Self.schedulesDefault
        let failures = await Schedules.failures(seeds: 0..<count)
        for failure in failures { Issue.record("\(failure.fault), seed \(failure.seed):\n\(Self.told(failure.seed))") }
        print("\(count) schedules, \(failures.count) failed")
    }

    @Test(arguments: Plant.allCases)
    func `a planted mistake is found`(plant: Plant) {
        let found = (0..<Self.schedulesDefault).first { Schedules.fault(seed: $0, plant: plant) != nil }
        #expect(found != nil, "\(plant) is not found in \(Self.schedulesDefault) schedules")
        guard let found else { return }
        print("\(plant): found by seed \(found), \(Schedules.fault(seed: found, plant: plant) ?? "")")
        #expect(Schedules.fault(seed: found) == nil, "It is the mistake that is found, not something else.")
    }

    @Test func `a seed tells the same story again`() {
        for seed in UInt64(0)..<30 {
            let first = Schedules.trace(seed: seed)
            #expect(first.count > 3 && first == Schedules.trace(seed: seed))
        }
    }
}
