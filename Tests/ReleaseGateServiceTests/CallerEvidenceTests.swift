import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// One caller retries on the canary: by the counters of its bucket that is one failure, and no reason to go back.
@Suite(.timeLimit(.minutes(10))) struct `Callers in live evidence` {
    private static let start = ReleaseFolder.start
    private static let minutes = 90

    /// Requests of both sides every 30 s; in the 40th minute and the next, failures of the canary.
    ///
    /// - Parameter bucket: whose failure the n-th is.
    private static func history(_ bucket: (Int) -> Int) -> SampleHistory {
        var history = SampleHistory()
        var bad = 0
        var failures: [Int: Int] = [:]
        for look in 0...(minutes * 2) {
            let at = start.addingTimeInterval(TimeInterval(look * 30))
            if (80..<85).contains(look) {
                for _ in 0..<4 {
                    failures[bucket(bad), default: 0] += 1
                    bad += 1
                }
            }
            func add(_ name: String, _ track: String, _ labels: [String: String], _ value: Int) {
                let all = ["service": "ledger", "track": track].merging(labels) { $1 }
                history.add(name, all, SeriesSample(at: at, value: Double(value)))
            }
            add("http_requests_total", "canary", ["status": "200"], 30 * look - bad)
            add("http_requests_total", "canary", ["status": "500"], bad)
            add("http_requests_total", "stable", ["status": "200"], 270 * look)
            add("http_requests_total", "stable", ["status": "500"], 0)
            for bucket in 0..<64 {
                add("http_caller_errors_total", "canary", ["bucket": "\(bucket)"], failures[bucket] ?? 0)
                add("http_caller_errors_total", "stable", ["bucket": "\(bucket)"], 0)
            }
        }
        return history
    }

    private static func decide(_ history: SampleHistory, knowsCallers: Bool) async throws -> GateInput {
        let objective = ServiceLevelObjective(
            name: "ledger-errors", service: "ledger",
            indicator: ServiceLevelObjective.Indicator(
                bad: #"http_requests_total{service="ledger",status=~"5.."}"#,
                total: #"http_requests_total{service="ledger"}"#,
                callers: knowsCallers ? #"http_caller_errors_total{service="ledger"}"# : nil),
            budget: try #require(ErrorBudget(target: 0.99)))
        let policy = GatePolicy(objectives: [objective])
        let collector = EvidenceCollector(
            source: RecordedSource(history, name: "test"), policy: policy, sides: GateConfiguration.Sides())
        let now = start.addingTimeInterval(TimeInterval((minutes - 40) * 60))
        let began = now.addingTimeInterval(-1800)
        let evidence = try await collector.collect(
            services: ["ledger"], at: .init(walkBegan: began, stepBegan: began, now: now))
        return GateInput(
            version: try #require(Version("1.2.0")), environment: .prod, digests: [],
            atSeconds: Int(now.timeIntervalSince1970),
            step: GateInput.Step(index: 0, beganSeconds: Int(began.timeIntervalSince1970)), policy: policy,
            evidence: evidence)
    }

    @Test func `one caller's retries are not held against the release, unless nobody knows whose they are`()
        async throws
    {
        let one = Self.history { _ in 7 }
        let blind = Gate.decide(try await Self.decide(one, knowsCallers: false))
        #expect(blind.outcome == .rollBack, "\(blind.lines)")
        let input = try await Self.decide(one, knowsCallers: true)
        let seen = Gate.decide(input)
        #expect(seen.outcome != .rollBack, "\(seen.lines)")
        let samples = try #require(input.evidence.services.first?.indicators.first).intervals.compactMap(
            \.canary.sample)
        let (bad, repeats) = (samples.reduce(0) { $0 + $1.bad }, samples.reduce(0) { $0 + $1.repeats })
        #expect(bad == 20 && repeats == 18, "\(bad) of which \(repeats) are repeats: one counts in two minutes")
    }

    @Test func `many callers' failures are`() async throws {
        let many = Self.history { $0 * 29 % 64 }
        let decision = Gate.decide(try await Self.decide(many, knowsCallers: true))
        #expect(decision.outcome == .rollBack && decision.row == .worseThanStable, "\(decision.lines)")
    }
}
