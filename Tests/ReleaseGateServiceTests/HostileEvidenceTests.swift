import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// Whoever is scraped may say any number: the gate goes on, and takes none for good news that is not.
@Suite(.timeLimit(.minutes(10))) struct `Numbers beyond all counts` {
    /// What one series of the canary says until the last look, and then.
    struct Said: Sendable {
        let metric: String
        var labels: [String: String] = [:]
        let before: Double
        var last = 1e300
        let outcome: Decision.Outcome

        /// Dead letters are the installation's, whichever service counts them.
        static let worker = ["service": "dlq-worker", "track": "stable"]

        static let all = [
            Said(metric: "http_requests_total", labels: ["status": "500"], before: 0, outcome: .rollBack),
            Said(metric: "http_requests_total", labels: ["status": "204"], before: 0, outcome: .advance),
            // Their difference is an infinity.
            Said(
                metric: "http_requests_total", labels: ["status": "500"], before: -1.7e308, last: 1.7e308,
                outcome: .extend),
            Said(metric: "http_caller_errors_total", labels: ["bucket": "7"], before: 0, outcome: .advance),
            Said(metric: "circuit_breaker_state", labels: ["name": "store"], before: 1e300, outcome: .rollBack),
            Said(metric: "dlq_messages_unresolved", labels: worker, before: 1e300, outcome: .hold),
            Said(metric: "oom_kills_total", before: 0, outcome: .rollBack),
        ]
    }

    private static let looks = 120

    /// An hour of good requests on both sides, every 30 s, and what is said besides.
    private static func history(_ said: Said) -> SampleHistory {
        var history = SampleHistory()
        for look in 0...looks {
            let at = ReleaseFolder.start.addingTimeInterval(TimeInterval(look * 30))
            func add(_ metric: String, _ labels: [String: String], _ value: Double) {
                let all = ["service": "ledger"].merging(labels) { $1 }
                history.add(metric, all, SeriesSample(at: at, value: value))
            }
            for (track, requests) in [("canary", 30), ("stable", 270)] {
                add("http_requests_total", ["track": track, "status": "200"], Double(requests * look))
                add("http_requests_total", ["track": track, "status": "500"], 0)
            }
            add("dlq_messages_unresolved", Said.worker, 0)
            let other = ["track": "canary", "instance": "other"].merging(said.labels) { $1 }
            add(said.metric, other, look == looks ? said.last : said.before)
        }
        return history
    }

    @Test(arguments: Said.all)
    func `stop nothing, and prove nothing`(said: Said) async throws {
        let all = #"http_requests_total{service="ledger"}"#
        let objective = ServiceLevelObjective(
            name: "ledger-errors", service: "ledger",
            indicator: ServiceLevelObjective.Indicator(
                bad: #"http_requests_total{service="ledger",status=~"5.."}"#, total: all,
                callers: #"http_caller_errors_total{service="ledger"}"#),
            budget: try #require(ErrorBudget(target: 0.99)))
        let policy = GatePolicy(objectives: [objective])
        var signals = GateConfiguration.Signals()
        signals.breakers = "circuit_breaker_state"
        signals.deadLetters = "dlq_messages_unresolved"
        signals.outOfMemoryKills = "oom_kills_total"
        let collector = EvidenceCollector(
            source: RecordedSource(Self.history(said), name: "test"), policy: policy,
            sides: GateConfiguration.Sides(), signals: signals)
        let now = ReleaseFolder.start.addingTimeInterval(TimeInterval(Self.looks * 30))
        let began = now.addingTimeInterval(-1800)
        let evidence = try await collector.collect(
            services: ["ledger"], at: .init(walkBegan: began, stepBegan: began, now: now))
        let decision = Gate.decide(
            GateInput(
                version: try #require(Version("1.2.0")), environment: .prod, digests: [],
                atSeconds: Int(now.timeIntervalSince1970),
                step: GateInput.Step(index: 0, beganSeconds: Int(began.timeIntervalSince1970)), policy: policy,
                evidence: evidence))
        #expect(decision.outcome == said.outcome, "\(decision.lines)")
    }
}
