package import Contracts
package import FoundationEssentials
package import Postgres

/// The deliveries of webhooks: taken under a lease, concluded once.
package struct DeliveryStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Delivering

    /// The next targets for which something is due or parked, at most `BacklogWalk.hostsMax` of each tenant; the walk
    /// then goes on behind them. An error leaves it where it was.
    package func backlog(_ walk: inout BacklogWalk) async throws -> [TargetBacklog] {
        let page = try await pool.execute(ListBacklog(walk: walk))
        walk.advance(past: page)
        return page.compactMap(\.waiting)
    }

    /// Takes due deliveries for one attempt each; what another replica takes at the same time is passed over. Who does
    /// not conclude one in time loses it to the next who asks.
    package func lease(_ grants: [DeliveryGrant], for time: Duration) async throws -> [LeasedDelivery] {
        guard !grants.isEmpty else { return [] }
        return try await pool.execute(LeaseDeliveries(grants: grants, lease: UUID(), time: time))
    }

    /// Writes what came of an attempt. False when the lease was lost: nothing was changed.
    package func conclude(
        _ delivery: LeasedDelivery, _ state: WebhookDelivery.State, afterSeconds: Double,
        _ result: WebhookDelivery.Result
    ) async throws -> Bool {
        let statement = ConcludeDelivery(delivery: delivery, state: state, afterSeconds: afterSeconds, result: result)
        return try await !pool.execute(statement).isEmpty
    }

    /// Gives a delivery back that was not attempted, to wait for its target's circuit breaker.
    package func park(_ delivery: LeasedDelivery) async throws {
        try await pool.execute(HandBackDelivery(delivery: delivery, state: .parked, afterSeconds: 0))
    }

    /// Gives a delivery back that was not attempted, to be taken again in so many seconds.
    package func postpone(_ delivery: LeasedDelivery, afterSeconds: Double) async throws {
        try await pool.execute(HandBackDelivery(delivery: delivery, state: .pending, afterSeconds: afterSeconds))
    }

    /// Parks what is due for a target; answers how many.
    package func park(_ target: DeliveryTarget, limit: Int) async throws -> Int {
        try await pool.execute(ParkTarget(target: target, limit: limit)).count
    }

    /// Ends the parking of a target's deliveries; answers how many.
    package func release(_ target: DeliveryTarget, limit: Int) async throws -> Int {
        try await pool.execute(ReleaseTarget(target: target, limit: limit)).count
    }

    /// Removes deliveries that ended before `time`; answers how many.
    package func purge(endedBefore time: Date, limit: Int) async throws -> Int {
        try await pool.execute(PurgeDeliveries(time: time, limit: limit)).count
    }

    // MARK: For people

    package func find(_ id: UUID, tenant: TenantID) async throws -> WebhookDelivery? {
        try await pool.execute(FindDelivery(id: id, tenant: tenant)).first
    }

    /// Newest first.
    package func list(_ filter: DeliveryFilter) async throws -> [WebhookDelivery] {
        try await pool.execute(ListDeliveries(filter: filter))
    }

    /// Starts an ended delivery over, under the same id.
    package func replay(_ id: UUID, tenant: TenantID) async throws -> ReplayOutcome {
        if let replayed = try await pool.execute(ReplayDelivery(id: id, tenant: tenant)).first {
            return .replayed(replayed)
        }
        return try await find(id, tenant: tenant).map(ReplayOutcome.stillOpen) ?? .unknown
    }
}
