internal import Contracts

/// Where a walk over the targets with something open stands.
///
/// It goes round by tenant, and in each round looks at the next few targets of each: a tenant with few of them is seen
/// whole in every round, however many another has.
package struct BacklogWalk: Sendable {
    /// Tenants in one page.
    package static let tenantsMax = 32
    /// Targets of one tenant in one page.
    package static let hostsMax = 16

    /// How far one tenant's targets have been looked at.
    private struct Place: Sendable {
        /// The next page goes on behind it; nil begins with the first.
        var host: String?
        /// Of the pages since the first.
        var oldestSeconds: Double = 0
        /// Of all its targets, when they were last looked at to the end.
        var oldestSecondsBefore: Double = 0
    }

    /// The next page begins behind it; nil begins a round.
    private(set) var tenant: TenantID?
    /// As the last whole round left them: who had nothing open then begins with the first.
    private var places: [TenantID: Place] = [:]
    /// As the round under way leaves them.
    private var left: [TenantID: Place] = [:]
    /// How long the oldest delivery has been due or parked, as of the last whole round.
    package private(set) var oldestSeconds: Double = 0

    package init() {}

    /// Whether the next page goes on where the last one ended, for any tenant.
    package var goesOn: Bool { tenant != nil || places.values.contains { $0.host != nil } }

    /// The tenants of which not all targets have been looked at, and the last host that was.
    var hosts: [(tenant: TenantID, host: String)] {
        places.compactMap { entry in entry.value.host.map { (tenant: entry.key, host: $0) } }
    }

    /// Moves behind a page, which has its rows in the database's order: what comes first is never decided here, where
    /// text sorts otherwise.
    mutating func advance(past page: [ListBacklog.Line]) {
        let tenants = Dictionary(grouping: page, by: \.tenant)
        for (tenant, lines) in tenants {
            let waiting = lines.compactMap(\.waiting)
            var place = places[tenant] ?? Place()
            place.oldestSeconds = max(place.oldestSeconds, waiting.map(\.oldestSeconds).max() ?? 0)
            if waiting.count < Self.hostsMax {
                place = Place(oldestSecondsBefore: place.oldestSeconds)
            } else {
                place.host = waiting.last?.target.host
            }
            left[tenant] = place
        }
        tenant = tenants.count < Self.tenantsMax ? nil : page.last?.tenant
        guard tenant == nil else { return }
        places = left
        left = [:]
        oldestSeconds = places.values.map { max($0.oldestSeconds, $0.oldestSecondsBefore) }.max() ?? 0
    }
}
