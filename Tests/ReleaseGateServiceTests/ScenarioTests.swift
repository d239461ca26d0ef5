import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// Every row of the decision table, reached through a real Prometheus.
@Suite(.timeLimit(.minutes(10))) struct `Decision scenarios` {
    private typealias Traffic = Scenario.Traffic

    /// One process of the canary, which can be scraped.
    private static let answers = ["up{track=\"canary\",instance=\"a\"} 1"]

    static let all: [Scenario] = [
        Scenario(
            service: "past-contract", canary: Traffic(good: 54, bad: 6), schema: .pastContract, outcome: .hold,
            row: .schemaPastContract, says: "The schema is past its contract step"),
        Scenario(
            service: "crashing",
            more: { ["process_start_time_seconds{track=\"canary\",instance=\"a\"} \($0 > 900 ? 1 : 2)"] },
            outcome: .rollBack, row: .canaryUnhealthy, says: "1 crashes of the canary"),
        Scenario(
            service: "unready",
            more: {
                ["up{track=\"canary\",instance=\"a\"} 1", "up{track=\"canary\",instance=\"b\"} \($0 > 900 ? 1 : 0)"]
            },
            outcome: .rollBack, row: .canaryUnhealthy, says: "1 of 2 ready after"),
        Scenario(
            service: "worse", canary: Traffic(good: 54, bad: 6), stepSeconds: 600, outcome: .rollBack,
            row: .worseThanStable, says: "120 of 1200 bad on the canary, 0 of 10800 on stable"),
        Scenario(
            service: "stormy", canary: Traffic(good: 54, bad: 6), stable: Traffic(good: 486, bad: 54), outcome: .hold,
            row: .environmentBad, says: "stable too"),
        Scenario(
            service: "proven-bad", canary: Traffic(good: 57, bad: 3), comparison: .none, outcome: .rollBack,
            row: .provenBad, says: "proven-bad-errors"),
        Scenario(
            service: "tripping",
            more: { ["circuit_breaker_state{track=\"canary\",name=\"db\"} \($0 > 240 ? 0 : 2)"] },
            outcome: .rollBack, row: .canaryDegraded, says: "breaker db open for"),
        Scenario(
            service: "littering", deadLetters: { $0 > 900 ? "0" : "15" },
            outcome: .rollBack, row: .canaryDegraded, says: "15 dead letters more in this step"),
        Scenario(
            service: "unseen", hasCanary: false, outcome: .extend, row: .evidenceLacking, says: "no such series"),
        Scenario(
            service: "garbled", isNotANumber: true, outcome: .extend, row: .evidenceLacking, says: "not a number"),
        Scenario(
            service: "silent", silentSeconds: 600, outcome: .extend, row: .evidenceLacking, says: "stale for"),
        Scenario(
            service: "deaf",
            more: {
                ["up{track=\"canary\",instance=\"a\"} 1", "up{track=\"canary\",instance=\"b\"} \($0 > 0 ? 1 : 0)"]
            },
            outcome: .extend, row: .evidenceLacking, says: "1 of 2 targets answered"),
        Scenario(
            service: "quiet", canary: Traffic(good: 1, bad: 0), outcome: .extend, row: .evidenceLacking,
            says: "299 are needed"),
        Scenario(
            service: "unseen-for-long", stepSeconds: 5400, hasCanary: false, outcome: .hold, row: .evidenceLacking,
            says: "no such series"),
        Scenario(
            service: "half-open",
            more: { _ in
                [
                    "circuit_breaker_state{track=\"stable\",name=\"db\"} 1",
                    "circuit_breaker_state{track=\"canary\",name=\"db\"} 1",
                ]
            },
            outcome: .hold, row: .invariantBroken, says: "breaker db is half_open"),
        Scenario(
            service: "posting-to-the-dead",
            more: { _ in
                ["stable", "canary"].map { "circuit_breaker_state{track=\"\($0)\",name=\"webhook:acme:x\"} 2" }
            },
            outcome: .advance, row: .stepPassed, says: "posting-to-the-dead-errors"),
        Scenario(
            service: "littered", deadLetters: { _ in "12" }, outcome: .hold,
            row: .invariantBroken, says: "12 unresolved dead letters"),
        Scenario(
            service: "uncounted", deadLetters: { _ in nil }, outcome: .extend, row: .evidenceLacking,
            says: "dead letters: no such series"),
        Scenario(
            service: "once-counted", deadLetters: { $0 > 300 ? "0" : nil }, outcome: .extend, row: .evidenceLacking,
            says: "dead letters: stale for"),
        Scenario(
            service: "miscounted", deadLetters: { _ in "NaN" }, outcome: .extend, row: .evidenceLacking,
            says: "dead letters: not a number"),
        Scenario(
            service: "half-watched", more: { _ in answers + ["circuit_breaker_state{track=\"stable\",name=\"db\"} 0"] },
            outcome: .extend, row: .evidenceLacking, says: "breakers on canary: no such series"),
        Scenario(
            service: "once-watched",
            more: { answers + ($0 > 300 ? ["circuit_breaker_state{track=\"canary\",name=\"db\"} 0"] : []) },
            outcome: .extend, row: .evidenceLacking, says: "breakers on canary: stale for"),
        Scenario(
            service: "unwatched", more: { _ in answers }, outcome: .extend, row: .evidenceLacking,
            says: "breakers on canary: no such series"),
        Scenario(
            service: "first-watched",
            more: { _ in
                answers + [
                    "up{track=\"stable\",instance=\"b\"} 1", "circuit_breaker_state{track=\"canary\",name=\"db\"} 0",
                ]
            },
            outcome: .advance, row: .stepPassed, says: "all breakers closed"),
        Scenario(
            service: "breakerless",
            more: { _ in answers + ["circuit_breaker_state{service=\"other\",track=\"stable\",name=\"db\"} 0"] },
            outcome: .advance, row: .stepPassed, says: "no breakers to watch"),
        Scenario(
            service: "burning-in-an-outage", canary: Traffic(good: 48, bad: 12), stepSeconds: 600, comparison: .none,
            more: { answers + ["up{track=\"canary\",instance=\"b\"} \((300..<360).contains($0) ? 0 : 1)"] },
            outcome: .rollBack, row: .provenBad, says: "more than 14.4 times its pace (1h/5m)"),
        Scenario(service: "young", stepSeconds: 600, outcome: .wait, row: .stepRunning, says: "600 of 1800 s"),
        Scenario(service: "fine", outcome: .advance, row: .stepPassed, says: "fine-errors"),
        Scenario(
            service: "finished", canary: Traffic(good: 600, bad: 0), step: 2, outcome: .seal, row: .provenGood,
            says: "finished-errors"),
        Scenario(
            service: "borderline", canary: Traffic(good: 198, bad: 2), stable: Traffic(good: 198, bad: 2), step: 2,
            outcome: .extend, row: .undecided, says: "the step is extended"),
        Scenario(
            service: "scarred", outage: Traffic(good: 500, bad: 40), outcome: .advance, row: .stepPassed,
            says: "scarred-errors"),
        Scenario(
            service: "spent", outage: Traffic(good: 270, bad: 270), outcome: .advance, row: .stepPassed,
            says: "spent-errors"),
    ]

    private static let server = Task { try await PrometheusServer.started(openMetrics: Scenario.openMetrics(all)) }

    /// Each is asked once: thirty days are many samples.
    private static let records = Task {
        var records: [String: DecisionRecord] = [:]
        for scenario in all { records[scenario.service] = try await decide(scenario) }
        return records
    }

    static func decision(_ scenario: Scenario) async throws -> DecisionRecord {
        try #require(try await records.value[scenario.service])
    }

    private static func decide(_ scenario: Scenario) async throws -> DecisionRecord {
        let policy = GatePolicy(objectives: [try scenario.objective])
        var signals = GateConfiguration.Signals()
        signals.breakers = #"circuit_breaker_state{name!~"webhook:.*"}"#
        signals.deadLetters = "dlq_messages_unresolved"
        let collector = EvidenceCollector(
            source: PrometheusSource(url: try await server.value.url).within(namespace: scenario.service),
            policy: policy, sides: GateConfiguration.Sides(), signals: signals)
        let moment = scenario.moment
        let evidence = try await collector.collect(
            services: [scenario.service], at: moment, schema: scenario.schema)
        guard let version = Version("1.2.0-rc.1") else { throw TestFailure(description: "no version") }
        let input = GateInput(
            version: version, environment: .prod, digests: [], atSeconds: Scenario.end,
            step: GateInput.Step(index: scenario.step, beganSeconds: Int(moment.stepBegan.timeIntervalSince1970)),
            policy: policy, evidence: evidence)
        return DecisionRecord(input: input, decision: Gate.decide(input))
    }

    @Test(arguments: all.indices)
    func `a row of the table is reached, and says why`(index: Int) async throws {
        let scenario = Self.all[index]
        let decision = try await Self.decision(scenario).decision
        let text = decision.lines.joined(separator: "\n")
        #expect(decision.outcome == scenario.outcome && decision.row == scenario.row, "\(scenario.service):\n\(text)")
        #expect(text.contains(scenario.says), "\(scenario.service):\n\(text)")
        #expect(decision.pages == (scenario.row == .schemaPastContract))
    }

    /// Long windows are read every few minutes: so much may lack at the end of thirty days, or be too much before. What
    /// failed twenty days ago is there to the single event, and so are all windows of the burn rules, which reach back
    /// for three days.
    @Test(arguments: all.indices)
    func `thirty days are counted`(index: Int) async throws {
        let scenario = Self.all[index]
        let evidence = try await Self.decision(scenario).input.evidence
        let burn = try #require(evidence.services.first?.indicators.first?.stableBurn)
        let whole = burn.now.first { $0.seconds == Scenario.days * 86_400 }?.reading.sample
        let expected = scenario.stableThirtyDays
        let lacking = expected.total - (whole?.total ?? 0)
        #expect(abs(lacking) <= expected.total / 1000, "\(scenario.service) lacks \(lacking)")
        if scenario.stable.bad == 0 { #expect(whole?.bad == expected.bad, "\(scenario.service)") }
        for window in burn.now where window.seconds >= 300 {
            #expect(window.reading.sample != nil, "\(scenario.service): \(window)")
        }
        let budget = try scenario.objective.budget
        let left = try #require(whole.flatMap { BurnRate.remainingThousandths($0, budget: budget) })
        switch scenario.service {
        case "scarred": #expect((700...800).contains(left), "\(left)")
        case "spent": #expect(left < 0, "\(left)")
        case "fine": #expect(left == 1000)
        default: break
        }
    }

    @Test func `every row has its scenario`() {
        // What the lineage forbids is decided without a look.
        #expect(Set(Self.all.map(\.row)) == Set(Decision.Row.allCases).subtracting([.barred]))
    }

    @Test func `a recorded decision made again is the same, byte for byte`() async throws {
        for scenario in Self.all {
            let record = try await Self.decision(scenario)
            let read = try Canonical.decode(DecisionRecord.self, from: try record.documents()[0].bytes)
            #expect(read == record)
            #expect(try Canonical.bytes(Gate.decide(read.input)) == Canonical.bytes(record.decision))
        }
    }
}
