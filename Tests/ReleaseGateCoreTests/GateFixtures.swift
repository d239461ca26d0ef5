import ReleaseGateCore
import Testing

/// A train's look, good in everything that a test does not say.
struct Look {
    static let start = 1_767_225_600

    var services = ["orchestrator"]
    var stepIndex = 0
    /// Since the step began; it takes 1800.
    var elapsed = 1800
    var stepPercents = GatePolicy.canary
    var canary = Sample(total: 3600, bad: 4)
    var stable = Sample(total: 32_400, bad: 40)
    /// In place of the newest interval's counts.
    var newestCanary: Reading?
    var newestStable: Reading?
    var newestAge = 0
    var health = CanaryHealth(ready: 2, desired: 2)
    var breakers: [BreakerEvidence] = []
    var deadLetters: DeadLetterEvidence? = DeadLetterEvidence(unresolved: 0, unresolvedAtStepStart: 0)
    /// Nil in records of before it was kept.
    var unknownSignals: [UnknownSignal]? = []
    var canaryBurn = IndicatorEvidence.Burn()
    var stableBurn = IndicatorEvidence.Burn()
    var schema = SchemaState.compatible
    var objectiveClass = ServiceLevelObjective.Class.blocking

    static let intervals = 60

    func input(changing changes: [String: (inout Look) -> Void] = [:]) throws -> GateInput {
        let budget = try #require(ErrorBudget(target: 0.99))
        let names = services
        let objectives = names.map { name in
            ServiceLevelObjective(
                name: "\(name)-errors", service: name, indicator: .init(bad: "bad", total: "total"), budget: budget,
                class: objectiveClass)
        }
        let evidence = names.map { name in
            var look = self
            changes[name]?(&look)
            return look.evidence(of: name)
        }
        return GateInput(
            version: try #require(Version("1.2.0-rc.1")), environment: .prod,
            digests: [try #require(ArtifactDigest(name: "chart", sha256: String(repeating: "a", count: 64)))],
            atSeconds: Self.start + elapsed,
            step: .init(index: stepIndex, beganSeconds: Self.start),
            policy: GatePolicy(objectives: objectives, stepPercents: stepPercents),
            evidence: TrainEvidence(services: evidence, schema: schema))
    }

    func decision(changing changes: [String: (inout Look) -> Void] = [:]) throws -> Decision {
        Gate.decide(try input(changing: changes))
    }

    private func evidence(of name: String) -> ServiceEvidence {
        let count = Self.intervals
        let intervals = (1...count).map { number in
            let isNewest = number == count
            return IndicatorEvidence.Interval(
                endSeconds: Self.start + elapsed - newestAge - (count - number) * 30,
                canary: isNewest ? newestCanary ?? share(of: canary, number) : share(of: canary, number),
                stable: isNewest ? newestStable ?? share(of: stable, number) : share(of: stable, number))
        }
        let indicator = IndicatorEvidence(
            objective: "\(name)-errors", intervals: intervals, canaryBurn: canaryBurn, stableBurn: stableBurn)
        return ServiceEvidence(
            service: name, health: health, indicators: [indicator], breakers: breakers, deadLetters: deadLetters,
            unknownSignals: unknownSignals)
    }

    /// An interval's part, so that all parts together are the whole.
    private func share(of sample: Sample, _ number: Int) -> Reading {
        let part = { (whole: Int) in whole * number / Self.intervals - whole * (number - 1) / Self.intervals }
        return .counted(Sample(total: part(sample.total), bad: part(sample.bad)))
    }
}
