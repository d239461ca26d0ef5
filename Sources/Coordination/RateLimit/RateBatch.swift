/// The charges of one request in the terms of `CellRate`: one cell for each pair of policy and key.
///
/// Who makes the same request again and again makes its batch once.
package struct RateBatch: Sendable {
    private(set) var keys: [String] = []
    private(set) var cells: [CellRate.Cell] = []
    private let policies: [RatePolicy]
    private let cellOfCharge: [Int]

    /// What `RateLimiter.decide` decides; see there.
    package init(_ charges: [RateCharge], scope tenant: String) { self.init(charges, tenant: tenant, floor: 0) }

    /// - Parameter floor: the least cost; lower ones are raised to it.
    init(_ charges: [RateCharge], tenant: String, floor: Int) {
        precondition(charges.count <= RateLimiter.maxCharges, "Too many charges in one request.")
        var places: [String: Int] = [:]
        var cellOfCharge: [Int] = []
        for charge in charges {
            let key = RedisKey.tagged("golden:rate", tag: tenant, charge.policy.name, charge.key)
            let cost = Int64(max(charge.cost, floor))
            if let place = places[key] {
                // One script reads each key once, so what belongs together is added up before.
                cells[place].cost = cells[place].cost.addingClamped(cost)
                cellOfCharge.append(place)
            } else {
                places[key] = cells.count
                cellOfCharge.append(cells.count)
                keys.append(key)
                cells.append(
                    CellRate.Cell(
                        interval: charge.policy.interval, burst: Int64(charge.policy.burst), cost: cost, arrival: nil
                    )
                )
            }
        }
        policies = charges.map(\.policy)
        self.cellOfCharge = cellOfCharge
    }

    /// One for each cell.
    mutating func raise(_ floors: [Int64]) {
        for (place, floor) in floors.enumerated() { cells[place].floor = floor }
    }

    /// The same, only asking.
    var costless: RateBatch {
        var batch = self
        for place in batch.cells.indices { batch.cells[place].cost = 0 }
        return batch
    }

    func decision(_ outcome: CellRate.Outcome, mode: RateDecision.Mode) -> RateDecision {
        let standings = zip(policies, cellOfCharge).map { policy, place in
            let verdict = outcome.verdicts[place]
            return RateDecision.Standing(
                policy: policy, remaining: Int(verdict.remaining), reset: .microseconds(verdict.reset),
                violated: verdict.retry != 0
            )
        }
        let never = outcome.verdicts.contains { $0.retry < 0 }
        let wait = outcome.verdicts.map(\.retry).max() ?? 0
        return RateDecision(
            allowed: outcome.allowed, mode: mode, standings: standings,
            retryAfter: outcome.allowed || never ? nil : .microseconds(wait), neverAdmissible: never
        )
    }
}

extension Int64 {
    fileprivate func addingClamped(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }
}
