internal import Contracts
internal import Synchronization

/// Tenants on whose rows somebody sat a moment ago: what is done for them is done apart, so that others do not wait.
/// Nil stands for the installation, whose rows belong to no tenant.
final class LockedTenants: Sendable {
    /// After the last time that somebody waited in vain. A tenant that is set apart for too long loses nothing by it.
    static let time: Duration = .seconds(10)
    /// Forgotten all at once beyond that: who is forgotten is found again by waiting once more.
    static let countMax = 1024

    private let ends = Mutex<[TenantID?: ContinuousClock.Instant]>([:])

    var isEmpty: Bool {
        ends.withLock { ends in
            if ends.isEmpty { return true }
            let now = ContinuousClock.now
            ends = ends.filter { $0.value > now }
            return ends.isEmpty
        }
    }

    func note(_ tenant: TenantID?, at now: ContinuousClock.Instant = .now) {
        ends.withLock { ends in
            if ends.count >= Self.countMax { ends = [:] }
            ends[tenant] = now + Self.time
        }
    }

    func contains(_ tenant: TenantID?, at now: @autoclosure () -> ContinuousClock.Instant = .now) -> Bool {
        ends.withLock { ends in
            guard let end = ends[tenant] else { return false }
            if now() < end { return true }
            ends[tenant] = nil
            return false
        }
    }
}
