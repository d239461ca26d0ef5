import ReleaseGateCore
import Testing

@Suite struct `The decision table` {
    struct Case: Sendable {
        let name: String
        let outcome: Decision.Outcome
        let row: Decision.Row
        /// Stands in the explanation.
        let line: String
        let change: @Sendable (inout Look) -> Void

        init(
            _ name: String, _ outcome: Decision.Outcome, _ row: Decision.Row, _ line: String,
            _ change: @escaping @Sendable (inout Look) -> Void
        ) {
            (self.name, self.outcome, self.row, self.line, self.change) = (name, outcome, row, line, change)
        }
    }

    private static func windows(_ bad: Int, of total: Int) -> [IndicatorEvidence.Window] {
        [3600, 300].map { .init(seconds: $0, reading: .counted(Sample(total: total, bad: bad))) }
    }

    static let health: [Case] = [
        Case("crash", .rollBack, .canaryUnhealthy, "canary_unhealthy: yes: 1 crashes of the canary") {
            $0.health = CanaryHealth(ready: 1, desired: 2, crashes: 1)
        },
        Case("out of memory", .rollBack, .canaryUnhealthy, "1 kills for want of memory") {
            $0.health = CanaryHealth(ready: 2, desired: 2, outOfMemoryKills: 1)
        },
        Case("not ready in time", .rollBack, .canaryUnhealthy, "1 of 2 ready after 600 s") {
            $0.health = CanaryHealth(ready: 1, desired: 2, unreadySeconds: 600)
        },
        Case("not ready yet", .advance, .stepPassed, "canary_unhealthy: no: 1 of 2 ready") {
            $0.health = CanaryHealth(ready: 1, desired: 2, unreadySeconds: 599)
        },
        Case("breaker open on the canary", .rollBack, .canaryDegraded, "breaker model open for 120 s on the canary") {
            $0.breakers = [.init(name: "model", side: .canary, state: .open, forSeconds: 120)]
        },
        Case("breaker open a moment", .hold, .invariantBroken, "breaker model is open on canary") {
            $0.breakers = [.init(name: "model", side: .canary, state: .open, forSeconds: 119)]
        },
        Case("breaker open on both", .hold, .invariantBroken, "breaker model is open on stable") {
            $0.breakers = [
                .init(name: "model", side: .canary, state: .open, forSeconds: 300),
                .init(name: "model", side: .stable, state: .open, forSeconds: 300),
            ]
        },
        Case("ten dead letters more", .rollBack, .canaryDegraded, "10 dead letters more in this step") {
            $0.deadLetters = DeadLetterEvidence(unresolved: 12, unresolvedAtStepStart: 2)
        },
        Case("over a hundred dead letters from before", .hold, .invariantBroken, "101 unresolved dead letters") {
            $0.deadLetters = DeadLetterEvidence(unresolved: 101, unresolvedAtStepStart: 100)
        },
        Case("the same in an old record", .rollBack, .canaryDegraded, "101 dead letters") {
            $0.deadLetters = DeadLetterEvidence(unresolved: 101, unresolvedAtStepStart: 100)
            $0.unknownSignals = nil
        },
        Case("no breakers in an old record", .advance, .stepPassed, "all breakers closed, fewer than 10 dead letters") {
            $0.unknownSignals = nil
        },
        Case("ten dead letters from before", .hold, .invariantBroken, "10 unresolved dead letters") {
            $0.deadLetters = DeadLetterEvidence(unresolved: 10, unresolvedAtStepStart: 5)
        },
    ]

    static let counts: [Case] = [
        Case("ten times worse", .rollBack, .worseThanStable, "worse_than_stable: yes: orchestrator-errors: 40 of 3600")
        {
            $0.canary = Sample(total: 3600, bad: 40)
        },
        Case("bad on both sides", .hold, .environmentBad, "orchestrator-errors: stable too: 1300 of 32400 bad") {
            $0.canary = Sample(total: 3600, bad: 140)
            $0.stable = Sample(total: 32_400, bad: 1300)
        },
        Case("bad without a stable side", .rollBack, .provenBad, "against a budget of 1%: proven bad") {
            $0.canary = Sample(total: 3600, bad: 140)
            $0.stable = .none
        },
        Case("a page burn that began in the step", .rollBack, .provenBad, "more than 14.4 times its pace (1h/5m)") {
            $0.elapsed = 600
            $0.canaryBurn = .init(now: windows(20, of: 100))
        },
        Case("a page burn from before the step", .wait, .stepRunning, "proven_bad: no") {
            $0.elapsed = 600
            $0.canaryBurn = .init(atStepStart: windows(20, of: 100), now: windows(20, of: 100))
        },
        Case("a page burn of both", .hold, .environmentBad, "stable burns its budget too (1h/5m)") {
            $0.elapsed = 600
            $0.canaryBurn = .init(now: windows(20, of: 100))
            $0.stableBurn = .init(now: windows(200, of: 1000))
        },
        Case("four bad requests are no burn", .wait, .stepRunning, "step_running: yes: 600 of 1800 s") {
            $0.elapsed = 600
            $0.canaryBurn = .init(now: windows(4, of: 10))
        },
        Case("over budget, not proven", .extend, .undecided, "not proven either way") {
            $0.canary = Sample(total: 900, bad: 12)
            $0.stable = Sample(total: 8100, bad: 95)
        },
        Case("over budget for too long", .hold, .undecided, "the step took 5400 s and did not show it") {
            $0.elapsed = 5400
            $0.canary = Sample(total: 900, bad: 12)
            $0.stable = Sample(total: 8100, bad: 95)
        },
        Case("within budget", .advance, .stepPassed, "4 of 3600 bad (0.1111%, between") { _ in },
        Case("a step that still runs", .wait, .stepRunning, "step_running: yes: 1799 of 1800 s") { $0.elapsed = 1799 },
        Case("the last step, proven", .seal, .provenGood, "proven_good: yes: orchestrator-errors") { $0.stepIndex = 2 },
        Case("the last step, not proven", .extend, .undecided, "proven_good: no: orchestrator-errors") {
            $0.stepIndex = 2
            $0.canary = Sample(total: 400, bad: 3)
        },
        Case("an advisory objective", .advance, .stepPassed, "nothing is compared") {
            $0.objectiveClass = .advisory
            $0.canary = Sample(total: 3600, bad: 400)
        },
    ]

    static let lacks: [Case] = [
        Case("below its floor, in time", .wait, .evidenceLacking, "298 events, 299 are needed to show anything") {
            $0.elapsed = 1000
            $0.canary = Sample(total: 298, bad: 0)
        },
        Case("below its floor", .extend, .evidenceLacking, "the step is extended, to 5400 s at most") {
            $0.canary = Sample(total: 298, bad: 0)
        },
        Case("below its floor for too long", .hold, .evidenceLacking, "the step took 5400 s and did not show it") {
            $0.elapsed = 5400
            $0.canary = Sample(total: 298, bad: 0)
        },
        Case("missing", .extend, .evidenceLacking, "canary: no such series") { $0.newestCanary = .missing },
        Case("not a number", .extend, .evidenceLacking, "canary: not a number") { $0.newestCanary = .notANumber },
        Case("stale", .extend, .evidenceLacking, "canary: stale for 300 s") {
            $0.newestCanary = .stale(ageSeconds: 300)
        },
        Case("reset", .extend, .evidenceLacking, "canary: a counter started anew") { $0.newestCanary = .reset },
        Case("partial", .extend, .evidenceLacking, "stable: 2 of 3 targets answered") {
            $0.newestStable = .partial(answered: 2, targets: 3)
        },
        Case("breakers that should be there", .extend, .evidenceLacking, "breakers on canary: no such series") {
            $0.unknownSignals = [UnknownSignal("breakers on canary", .missing)]
        },
        Case("dead letters of long ago", .extend, .evidenceLacking, "dead letters: stale for 300 s") {
            $0.deadLetters = nil
            $0.unknownSignals = [UnknownSignal("dead letters", .stale(ageSeconds: 300))]
        },
        Case("no signals", .advance, .stepPassed, "no: no breakers to watch, no dead letters to watch") {
            $0.deadLetters = nil
        },
        Case("old", .extend, .evidenceLacking, "the newest interval ended 121 s ago") { $0.newestAge = 121 },
        Case("no stable side at 100%", .seal, .provenGood, "evidence_lacking: no") {
            $0.stepIndex = 2
            $0.newestStable = .missing
        },
        Case("blue-green's first step", .advance, .stepPassed, "no traffic in this step") {
            $0.stepPercents = GatePolicy.blueGreen
            $0.canary = .none
        },
    ]

    @Test(arguments: health + counts + lacks)
    func `its first row that applies decides, and says why`(_ example: Case) throws {
        var look = Look()
        example.change(&look)
        let decision = try look.decision()
        #expect(decision.outcome == example.outcome, "\(example.name): \(decision.lines)")
        #expect(decision.row == example.row, "\(example.name)")
        #expect(decision.lines.contains { $0.contains(example.line) }, "\(example.name): \(decision.lines)")
        #expect(decision.lines.last == "Decision: \(example.outcome.text)")
    }

    @Test func `every row is reached by a case`() {
        let reached = Set((Self.health + Self.counts + Self.lacks).map(\.row))
        #expect(reached.union([.schemaPastContract, .barred]) == Set(Decision.Row.allCases))
    }

    @Test(arguments: [
        (Decision.Row.worseThanStable, Decision.Outcome.rollBack, true), (.schemaPastContract, .hold, true),
        (.environmentBad, .hold, true), (.invariantBroken, .hold, false), (.evidenceLacking, .hold, false),
        (.undecided, .hold, false), (.undecided, .extend, false), (.provenGood, .seal, false),
    ])
    func `a hold that wants a look does not show a release to be bad`(
        row: Decision.Row, outcome: Decision.Outcome, isBad: Bool
    ) {
        let service = Decision.ServiceDecision(service: "ledger", outcome: outcome, row: row, lines: [])
        let decision = Decision(
            outcome: outcome, row: row, pages: false, decidedBy: "ledger", lines: [], services: [service])
        #expect(decision.showsBad == isBad)
    }

    @Test func `what would be rolled back is held when the schema cannot go back`() throws {
        var look = Look()
        look.schema = .pastContract
        look.health = CanaryHealth(ready: 0, desired: 2, crashes: 3)
        let decision = try look.decision()
        #expect(decision.outcome == .hold)
        #expect(decision.row == .schemaPastContract)
        #expect(decision.pages)
        look.health = CanaryHealth(ready: 2, desired: 2)
        #expect(try look.decision().outcome == .advance)
    }

    @Test func `a train goes no further than its worst service`() throws {
        let look = Look(services: ["orchestrator", "peer-hub", "supervisor"])
        #expect(try look.decision().outcome == .advance)
        #expect(try look.decision().decidedBy == nil)
        let held = try look.decision(changing: ["peer-hub": { $0.newestCanary = .missing }])
        #expect(held.outcome == .extend)
        #expect(held.decidedBy == "peer-hub")
        let back = try look.decision(changing: [
            "peer-hub": { $0.newestCanary = .missing },
            "supervisor": { $0.health = CanaryHealth(ready: 0, desired: 1, crashes: 1) },
        ])
        #expect(back.outcome == .rollBack)
        #expect(back.lines.last == "Decision: roll back because of supervisor")
    }

    @Test func `a service that nothing was seen of is not good`() throws {
        let input = try Look(services: ["orchestrator", "peer-hub"]).input()
        let blind = GateInput(
            version: input.version, environment: input.environment, digests: input.digests,
            atSeconds: input.atSeconds, step: input.step, policy: input.policy,
            evidence: TrainEvidence(services: [input.evidence.services[0]]))
        #expect(Gate.decide(blind).outcome == .extend)
        #expect(Gate.decide(blind).decidedBy == "peer-hub")
    }

    @Test func `a decision is the same, byte for byte, from evidence that was stored`() throws {
        var look = Look(services: ["orchestrator", "peer-hub"])
        look.newestStable = .partial(answered: 1, targets: 2)
        look.breakers = [.init(name: "model", side: .canary, state: .halfOpen, forSeconds: 3)]
        let input = try look.input()
        let bytes = try Canonical.bytes(input)
        let again = try Canonical.decode(GateInput.self, from: bytes)
        #expect(again == input)
        #expect(try Canonical.bytes(again) == bytes)
        #expect(try Canonical.bytes(Gate.decide(again)) == Canonical.bytes(Gate.decide(input)))
        #expect(try Canonical.decode(Decision.self, from: Canonical.bytes(Gate.decide(input))) == Gate.decide(input))
    }
}
