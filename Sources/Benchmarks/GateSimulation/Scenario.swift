internal import ReleaseGateCore

/// Many walks of one kind.
struct Scenario: Sendable {
    let name: String
    let model: TrafficModel
    let counting: Walk.Counting

    /// How often and when one of the judges rolled back.
    struct Score: Sendable {
        let share: Double
        /// Nil when nothing was rolled back.
        let medianMinutes: Double?

        /// - Parameter looks: of each run the look that rolled back, if one did.
        init(_ looks: [Int?]) {
            let hits = looks.compactMap { $0 }.sorted()
            share = Double(hits.count) / Double(max(1, looks.count))
            medianMinutes = Self.median(hits).map { $0 * Double(Walk.lookSeconds) / 60 }
        }

        /// Of grouped data: a rollback at one look came from somewhere between it and the one before. The plain median
        /// would jump by a whole look when one run more is decided by then.
        private static func median(_ sorted: [Int]) -> Double? {
            guard !sorted.isEmpty else { return nil }
            let group = sorted[sorted.count / 2]
            let before = sorted.count { $0 < group }
            let inside = sorted.count { $0 == group }
            return Double(group - 1) + (Double(sorted.count) / 2 - Double(before)) / Double(inside)
        }
    }

    struct Outcome: Sendable {
        let gate: Score
        let reference: Score
        let repeatedZ: Score
        let fixedThreshold: Score
        /// What the gate's rollbacks were for.
        let rows: [String: Int]
    }

    /// Each run has its own seed, so that any one of them can be looked at again.
    func play(runs: Int, workers: Int) async throws -> Outcome {
        let results = try await withThrowingTaskGroup(of: [Walk.Result].self) { group in
            for worker in 0..<workers {
                group.addTask { [self] in
                    try stride(from: worker, to: runs, by: workers).map { run in
                        try Walk.run(model, seed: UInt64(run) &* 0x1000_0001, counting: counting)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        var rows: [String: Int] = [:]
        for row in results.compactMap(\.row) { rows[row.rawValue, default: 0] += 1 }
        return Outcome(
            gate: Score(results.map(\.gate)), reference: Score(results.map(\.reference)),
            repeatedZ: Score(results.map(\.repeatedZ)), fixedThreshold: Score(results.map(\.fixedThreshold)), rows: rows
        )
    }

    static let rates: [Double] = [2, 20, 200]
    /// Of the requests; the budget is 1%.
    static let badShare = 0.003
    /// A clump's failures in the mean.
    static let clump = 20.0

    /// Good releases under bursts; bad ones under bursts, and evenly as the reference has them.
    static let all: [Scenario] =
        rates.flatMap { rate in
            let (good, clumped) = (model(rate), model(rate, clumped: true))
            let bad = model(rate, regression: 10)
            var even = bad
            even.isBursty = false
            return [
                Scenario(name: "good-\(Int(rate))", model: good, counting: .byCaller),
                Scenario(name: "good-raw-\(Int(rate))", model: good, counting: .raw),
                Scenario(name: "clumped-\(Int(rate))", model: clumped, counting: .byCaller),
                Scenario(name: "clumped-raw-\(Int(rate))", model: clumped, counting: .raw),
                Scenario(name: "good-bucket-\(Int(rate))", model: good, counting: .byBucket),
                Scenario(name: "clumped-bucket-\(Int(rate))", model: clumped, counting: .byBucket),
                Scenario(name: "tenfold-bucket-\(Int(rate))", model: bad, counting: .byBucket),
                Scenario(name: "tenfold-\(Int(rate))", model: bad, counting: .byCaller),
                Scenario(name: "tenfold-even-\(Int(rate))", model: even, counting: .byCaller),
            ]
        } + [Scenario(name: "twofold-200", model: model(200, regression: 2), counting: .byCaller)]

    private static func model(_ rate: Double, regression: Double = 1, clumped: Bool = false) -> TrafficModel {
        TrafficModel(
            requestsPerSecond: rate, badShare: badShare, regression: regression,
            failures: clumped ? .clumped(mean: clump) : .independent)
    }
}
