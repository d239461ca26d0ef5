import Foundation

/// Runs schedules, each from its seed.
enum Schedules {
    struct Failure: Sendable {
        let seed: UInt64
        let fault: String
    }

    /// What is wrong with one schedule; nil when nothing is.
    static func fault(seed: UInt64, plant: Plant? = nil) -> String? {
        let world = World(seed: seed, plant: plant, isTraced: false)
        world.run()
        return world.fault
    }

    /// The same schedule, told step by step.
    static func trace(seed: UInt64, plant: Plant? = nil) -> [String] {
        let world = World(seed: seed, plant: plant, isTraced: true)
        world.run()
        return world.trace ?? []
    }

    /// Runs `count` schedules on all processors; answers those that went wrong, at most a few.
    static func failures(seeds: Range<UInt64>) async -> [Failure] {
        let lanes = UInt64(max(1, ProcessInfo.processInfo.activeProcessorCount))
        return await withTaskGroup(of: [Failure].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var failures: [Failure] = []
                    for seed in stride(from: seeds.lowerBound + lane, to: seeds.upperBound, by: Int(lanes)) {
                        if let fault = fault(seed: seed) { failures.append(Failure(seed: seed, fault: fault)) }
                        if failures.count >= 5 { break }
                    }
                    return failures
                }
            }
            return await group.reduce(into: []) { $0 += $1 }.sorted { $0.seed < $1.seed }
        }
    }
}
