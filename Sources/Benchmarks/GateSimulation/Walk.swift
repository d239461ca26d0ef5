internal import ReleaseGateCore

/// One simulated canary, judged at each look by the gate's own decision and by other rules beside it.
struct Walk {
    /// Which counts the gate gets to see.
    enum Counting: Sendable {
        /// What counters tell.
        case raw
        /// A caller's retries known as such.
        case byCaller
        /// The same from counters by buckets of callers, as the gate sees it live.
        case byBucket
    }

    /// The look that asked for a rollback, counted from 1; nil: none did.
    struct Result: Sendable {
        var gate: Int?
        var row: Decision.Row?
        /// The bare e-process on what counters tell, as `spikes/canary_simulation.py` of the design has it.
        var reference: Int?
        var repeatedZ: Int?
        var fixedThreshold: Int?

        var isComplete: Bool { gate != nil && reference != nil && repeatedZ != nil && fixedThreshold != nil }
    }

    static let lookSeconds = 30
    static let looks = 120
    /// One-sided at 1%.
    static let zMax = 2.326
    static let thresholdShare = 0.01

    private static let objective = "http-errors"
    private static let service = "orchestrator"
    private static let start = 1_767_225_600

    private let counting: Counting
    private let policy: GatePolicy
    private let version: Version
    private var traffic: Traffic
    private var step = GateInput.Step(index: 0, beganSeconds: Self.start)
    private var intervals: [IndicatorEvidence.Interval] = []
    private var total = (canary: Sample.none, stable: Sample.none)
    private var burnAtStepStart = (canary: [IndicatorEvidence.Window](), stable: [IndicatorEvidence.Window]())
    private var reference = RelativeTest()
    private var result = Result()

    init(_ model: TrafficModel, seed: UInt64, counting: Counting) throws {
        self.counting = counting
        policy = try Self.policy()
        guard let version = Version("1.0.0") else { throw SimulationError.noVersion }
        self.version = version
        traffic = Traffic(model, seed: seed)
    }

    private static func policy() throws -> GatePolicy {
        guard let budget = ErrorBudget(target: 0.99) else { throw SimulationError.noBudget }
        let objective = ServiceLevelObjective(
            name: objective, service: service, indicator: .init(bad: "bad", total: "total"), budget: budget)
        return GatePolicy(objectives: [objective])
    }

    static func run(_ model: TrafficModel, seed: UInt64, counting: Counting) throws -> Result {
        var walk = try Walk(model, seed: seed, counting: counting)
        for look in 1...Self.looks {
            walk.look(look)
            if walk.result.isComplete { break }
        }
        return walk.result
    }

    private mutating func look(_ look: Int) {
        let share = Double(policy.stepPercents[step.index]) / 100
        let counts = traffic.advance(seconds: Self.lookSeconds, canaryShare: share)
        let now = Self.start + look * Self.lookSeconds
        let seen =
            switch counting {
            case .raw: counts.raw
            case .byCaller: counts.byCaller
            case .byBucket: counts.byBucket
            }
        intervals.append(.init(endSeconds: now, canary: .counted(seen.canary), stable: .counted(seen.stable)))
        askRivals(counts, look)
        guard result.gate == nil else { return }
        let decision = Gate.decide(input(at: now))
        switch decision.outcome {
        case .rollBack: (result.gate, result.row) = (look, decision.row)
        case .advance:
            step = GateInput.Step(index: step.index + 1, beganSeconds: now)
            burnAtStepStart = (windows(\.canary), windows(\.stable))
        case .seal, .wait, .extend, .hold: break
        }
    }

    private mutating func askRivals(_ counts: Traffic.Counts, _ look: Int) {
        let raw = counts.raw
        total = (total.canary + raw.canary, total.stable + raw.stable)
        reference.add(canary: raw.canary, stable: raw.stable)
        let needed = RelativeTest.logNeeded(indicators: 1, falseAlarmThousandths: policy.falseAlarmThousandths)
        if result.reference == nil, reference.logEvidence >= needed { result.reference = look }
        if result.repeatedZ == nil, Self.z(total.canary, total.stable) > Self.zMax { result.repeatedZ = look }
        let share = Double(raw.canary.bad) / Double(max(1, raw.canary.total))
        if result.fixedThreshold == nil, share > Self.thresholdShare { result.fixedThreshold = look }
    }

    private func input(at now: Int) -> GateInput {
        let indicator = IndicatorEvidence(
            objective: Self.objective, intervals: intervals,
            canaryBurn: .init(atStepStart: burnAtStepStart.canary, now: windows(\.canary)),
            stableBurn: .init(atStepStart: burnAtStepStart.stable, now: windows(\.stable)))
        let service = ServiceEvidence(
            service: Self.service, health: CanaryHealth(ready: 3, desired: 3), indicators: [indicator])
        return GateInput(
            version: version, environment: .prod, digests: [], atSeconds: now, step: step, policy: policy,
            evidence: TrainEvidence(services: [service]))
    }

    /// The page rules' windows, which end now.
    private func windows(_ side: KeyPath<IndicatorEvidence.Interval, Reading>) -> [IndicatorEvidence.Window] {
        policy.burnRules.filter { $0.severity == .page }.flatMap { [$0.longSeconds, $0.shortSeconds] }.map { seconds in
            let newest = intervals.suffix(seconds / Self.lookSeconds)
            let sum = newest.reduce(Sample.none) { $0 + ($1[keyPath: side].sample ?? .none) }
            return IndicatorEvidence.Window(seconds: seconds, reading: .counted(sum))
        }
    }

    /// Two proportions, pooled.
    private static func z(_ canary: Sample, _ stable: Sample) -> Double {
        guard canary.total > 0, stable.total > 0 else { return 0 }
        let (n, m) = (Double(canary.total), Double(stable.total))
        let pooled = Double(canary.bad + stable.bad) / (n + m)
        let variance = pooled * (1 - pooled) * (1 / n + 1 / m)
        return variance > 0 ? (Double(canary.bad) / n - Double(stable.bad) / m) / variance.squareRoot() : 0
    }
}

/// A constant of the simulation is none: our own mistake.
enum SimulationError: Error {
    case noBudget, noVersion
}
