import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

/// A service that is rarely used: its counters begin with the first request after a restart.
@Suite(.timeLimit(.minutes(10))) struct `A service that nobody uses` {
    private static let now = ReleaseFolder.start.addingTimeInterval(6 * 3600)

    /// Requests until three hours ago, of a process that began anew then and was asked for nothing since.
    private static func history(up: Double) -> SampleHistory {
        var history = SampleHistory()
        for look in 0...720 {
            let at = ReleaseFolder.start.addingTimeInterval(TimeInterval(look * 30))
            let labels = ["service": "ledger", "track": "stable", "instance": "a"]
            history.add("up", labels, SeriesSample(at: at, value: up))
            if look <= 360 {
                history.add(
                    "http_requests_total", labels.merging(["status": "200"]) { $1 },
                    SeriesSample(at: at, value: Double(look)))
            }
        }
        return history
    }

    @Test(arguments: [(1.0, true), (0.0, false)])
    func `burns no budget, as long as it answers`(up: Double, isCounted: Bool) async throws {
        let objective = ServiceLevelObjective(
            name: "ledger-errors", service: "ledger",
            indicator: ServiceLevelObjective.Indicator(
                bad: #"http_requests_total{service="ledger",status=~"5.."}"#,
                total: #"http_requests_total{service="ledger"}"#),
            budget: try #require(ErrorBudget(target: 0.99)))
        let collector = EvidenceCollector(
            source: RecordedSource(Self.history(up: up), name: "test"), policy: GatePolicy(objectives: [objective]),
            sides: GateConfiguration.Sides())
        let evidence = try await collector.collect(
            services: ["ledger"], at: .init(walkBegan: Self.now, stepBegan: Self.now, now: Self.now))
        let burn = try #require(evidence.services.first?.indicators.first?.stableBurn)
        let window = try #require(burn.now.first { $0.seconds == 7200 })
        #expect(window.reading.sample == (isCounted ? Sample.none : nil), "\(window)")
    }
}
