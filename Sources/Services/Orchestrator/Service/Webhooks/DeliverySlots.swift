internal import Contracts
internal import HTTPEdge
internal import Storage
internal import Synchronization

/// How many attempts may be under way: overall, for each tenant, and for each target, so that slow receivers hold up
/// only themselves and, when there are many, others of their tenant.
final class DeliverySlots: Sendable {
    static let max = 128
    static let perTargetMax = 16

    private struct State {
        var tenants = FairShare<TenantID>(of: DeliverySlots.max)
        var targets: [DeliveryTarget: Int] = [:]
    }

    private let state = Mutex(State())

    /// Takes up to `wanted` for a target; answers how many.
    func take(_ wanted: Int, for target: DeliveryTarget) -> Int {
        state.withLock { state in
            let most = min(wanted, Self.perTargetMax - state.targets[target, default: 0])
            var count = 0
            while count < most, state.tenants.take(for: target.tenant) { count += 1 }
            if count > 0 { state.targets[target, default: 0] += count }
            return count
        }
    }

    func giveBack(_ count: Int, of target: DeliveryTarget) {
        state.withLock { state in
            state.tenants.giveBack(count, of: target.tenant)
            let rest = state.targets[target, default: 0] - count
            state.targets[target] = rest > 0 ? rest : nil
        }
    }

    var underWay: Int { state.withLock { $0.tenants.taken } }
}
