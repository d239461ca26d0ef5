import ReleaseGateCore
import Testing

@Suite struct `Objectives` {
    private static func objective(
        _ name: String = "http-errors", target: Double = 0.99, bad: String = "bad", total: String = "total",
        days: Int = 30, class: ServiceLevelObjective.Class = .blocking
    ) throws -> ServiceLevelObjective {
        ServiceLevelObjective(
            name: name, service: "orchestrator", indicator: .init(bad: bad, total: total),
            budget: try #require(ErrorBudget(target: target)), windowDays: days, class: `class`)
    }

    private static func rules(_ policy: GatePolicy) -> [ObjectiveLint.Finding.Rule] {
        ObjectiveLint.findings(policy).map(\.rule)
    }

    @Test func `a budget is exact`() {
        #expect(ErrorBudget(target: 0.99)?.partsPerMillion == 10_000)
        #expect(ErrorBudget(target: 0.95)?.description == "5%")
        #expect(ErrorBudget(target: 1) == nil)
        #expect(ErrorBudget(target: 0) == nil)
        #expect(ErrorBudget(target: 0.99999995) == nil)
        #expect(ErrorBudget(target: .nan) == nil)
    }

    @Test func `good ones pass the lint`() throws {
        #expect(
            Self.rules(GatePolicy(objectives: [try Self.objective(), try Self.objective("p95", target: 0.95)])) == [])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective()], stepPercents: GatePolicy.blueGreen)) == [])
    }

    @Test func `each mistake is named`() throws {
        let twice = GatePolicy(objectives: [try Self.objective(), try Self.objective()])
        #expect(Self.rules(twice) == [.duplicateName])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective("HTTP errors")])) == [.badName])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(bad: " ")])) == [.emptyQuery])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(bad: "x", total: "x")])) == [.sameQuery])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(days: 7)])) == [.windowNotThirtyDays])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(class: .advisory)])) == [.nothingBlocks])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective()], stepPercents: [50, 10])) == [.badSteps])
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(target: 0.9999)])) == [.floorBeyondTraffic])
        // 14.4 times a budget of 10% is 144% of all events.
        #expect(Self.rules(GatePolicy(objectives: [try Self.objective(target: 0.9)])) == [.burnBeyondAll])
    }

    @Test func `a burn needs both windows, and more than a few failures`() throws {
        let budget = try #require(ErrorBudget(target: 0.99))
        let rule = BurnRule.standard[0]
        func burns(long: Reading, short: Reading) -> Bool {
            BurnRate.isBurning(
                rule, budget: budget,
                windows: [.init(seconds: 3600, reading: long), .init(seconds: 300, reading: short)])
        }
        let burning = Reading.counted(Sample(total: 100, bad: 15))
        #expect(burns(long: burning, short: burning))
        #expect(!burns(long: burning, short: .counted(Sample(total: 100, bad: 14))))
        #expect(!burns(long: .counted(Sample(total: 10_000, bad: 15)), short: burning))
        #expect(!burns(long: burning, short: .counted(Sample(total: 10, bad: 4))))
        #expect(!burns(long: burning, short: .missing))
        #expect(!burns(long: burning, short: .counted(Sample(total: 100, bad: 15, repeats: 14))))
    }

    @Test func `half of all events being bad always burns`() throws {
        let budget = try #require(ErrorBudget(target: 0.95))
        #expect(BurnRate.factor(of: BurnRule.standard[0], budget: budget) == 10)
        #expect(BurnRule.standard.map(\.name) == ["1h/5m", "6h/30m", "1d/2h", "3d/6h"])
    }

    @Test func `a budget is used up at its own share`() throws {
        let budget = try #require(ErrorBudget(target: 0.99))
        #expect(BurnRate.remainingThousandths(Sample(total: 1000, bad: 5), budget: budget) == 500)
        #expect(BurnRate.remainingThousandths(Sample(total: 1000, bad: 10), budget: budget) == 0)
        #expect(BurnRate.remainingThousandths(Sample(total: 1000, bad: 11), budget: budget) == -100)
        #expect(BurnRate.remainingThousandths(.none, budget: budget) == nil)
    }
}
