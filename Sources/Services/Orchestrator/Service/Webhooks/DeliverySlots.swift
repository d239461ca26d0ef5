internal import Contracts
internal import Storage
internal import Synchronization

/// How many attempts may be under way: overall, for each tenant, and for each target, so that slow receivers hold up
/// only themselves and, when there are many, others of their tenant.
final class DeliverySlots: Sendable {
    static let max = 128
    static let perTargetMax = 16

    private let taken = Mutex<[DeliveryTarget: Int]>([:])

    /// Takes up to `wanted` for a target; answers how many. A tenant gets one while it has fewer than are free, as with
    /// a resolver's threads (`LookupQueue`): one alone has half of all, and n leave one in n + 1 to who comes next.
    func take(_ wanted: Int, for target: DeliveryTarget) -> Int {
        taken.withLock { taken in
            let free = Self.max - taken.values.reduce(0, +)
            let ofTenant = taken.reduce(0) { $0 + ($1.key.tenant == target.tenant ? $1.value : 0) }
            let most = min(wanted, Self.perTargetMax - taken[target, default: 0])
            var count = 0
            while count < most, ofTenant + count < free - count { count += 1 }
            if count > 0 { taken[target, default: 0] += count }
            return count
        }
    }

    func giveBack(_ count: Int, of target: DeliveryTarget) {
        taken.withLock { taken in
            let rest = taken[target, default: 0] - count
            taken[target] = rest > 0 ? rest : nil
        }
    }

    var underWay: Int { taken.withLock { $0.values.reduce(0, +) } }
}
