internal import Storage
internal import Synchronization

/// How many attempts may be under way: overall, and for each target, so that one slow receiver holds up only itself.
final class DeliverySlots: Sendable {
    static let max = 128
    static let perTargetMax = 16

    private let taken = Mutex<[DeliveryTarget: Int]>([:])

    /// Takes up to `wanted` for a target; answers how many.
    func take(_ wanted: Int, for target: DeliveryTarget) -> Int {
        taken.withLock { taken in
            let free = Self.max - taken.values.reduce(0, +)
            let count = Swift.max(0, min(wanted, free, Self.perTargetMax - taken[target, default: 0]))
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
