import OrchestratorCore
import Testing

/// What becomes of a webhook's delivery after an attempt.
@Suite struct DeliveryRulesTests {
    static let rules = DeliveryRules(attemptMax: 3, firstWaitSeconds: 10)

    typealias Row = (attempt: Int, outcome: DeliveryOutcome, next: DeliveryRules.Next, health: DeliveryRules.Health)

    static let rows: [Row] =
        [
            (1, .answered(status: 200, retryAfterSeconds: nil), .delivered, .success),
            (3, .answered(status: 204, retryAfterSeconds: 9), .delivered, .success),
            (1, .answered(status: 299, retryAfterSeconds: nil), .delivered, .success),
            (1, .answered(status: 301, retryAfterSeconds: nil), .retry(afterSeconds: 5), .success),
            (1, .answered(status: 400, retryAfterSeconds: nil), .retry(afterSeconds: 5), .success),
            (2, .answered(status: 404, retryAfterSeconds: nil), .retry(afterSeconds: 30), .success),
            (1, .answered(status: 410, retryAfterSeconds: nil), .failedForGood, .success),
            (1, .answered(status: 429, retryAfterSeconds: 77), .retry(afterSeconds: 77), .success),
            (1, .answered(status: 429, retryAfterSeconds: 2), .retry(afterSeconds: 5), .success),
            (1, .answered(status: 429, retryAfterSeconds: -9), .retry(afterSeconds: 5), .success),
            (1, .answered(status: 503, retryAfterSeconds: 9_999_999), .retry(afterSeconds: 86_400), .failure),
            (2, .answered(status: 500, retryAfterSeconds: nil), .retry(afterSeconds: 30), .failure),
            (3, .answered(status: 500, retryAfterSeconds: nil), .failed, .failure),
            (3, .answered(status: 429, retryAfterSeconds: 5), .failed, .success),
            (1, .unreachable(.timeout), .retry(afterSeconds: 5), .failure),
            (1, .unreachable(.unresolved), .retry(afterSeconds: 5), .failure),
            (3, .unreachable(.brokenOff), .failed, .failure),
            (1, .forbiddenAddress, .failed, .ignored),
            (1, .withdrawn(.webhookRemoved), .failed, .ignored),
            (1, .resolverBusy, .postponed(afterSeconds: 1), .ignored),
            (3, .resolverBusy, .postponed(afterSeconds: 1), .ignored),
        ]

    @Test(arguments: rows.indices)
    func `each outcome has its consequence`(index: Int) {
        let row = Self.rows[index]
        #expect(Self.rules.next(attempt: row.attempt, row.outcome, jitter: 0.5) == row.next, "\(row)")
        #expect(DeliveryRules.health(row.outcome) == row.health, "\(row)")
    }

    @Test func `waits grow sixfold up to a day, and eight attempts take about a day in the mean`() {
        let rules = DeliveryRules()
        let ceilings = (1..<8).map { rules.waitCeiling(attempt: $0) }
        #expect(ceilings == [10, 60, 360, 2160, 12_960, 77_760, 86_400])
        #expect((20.0...30.0).contains(ceilings.reduce(0, +) / 2 / 3600))
    }

    @Test func `the least jitter still leaves a receiver a second`() {
        let next = Self.rules.next(attempt: 1, .unreachable(.timeout), jitter: 0)
        #expect(next == .retry(afterSeconds: DeliveryRules.waitMinSeconds))
    }
}
