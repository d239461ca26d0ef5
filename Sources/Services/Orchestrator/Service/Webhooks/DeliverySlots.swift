internal import Synchronization

/// How many attempts may be under way: overall, and for each host, so that one slow receiver holds up only itself.
final class DeliverySlots: Sendable {
    static let max = 128
    static let perHostMax = 16

    private let taken = Mutex<[String: Int]>([:])

    /// Takes up to `wanted` for a host; answers how many.
    func take(_ wanted: Int, for host: String) -> Int {
        taken.withLock { taken in
            let free = Self.max - taken.values.reduce(0, +)
            let count = Swift.max(0, min(wanted, free, Self.perHostMax - taken[host, default: 0]))
            if count > 0 { taken[host, default: 0] += count }
            return count
        }
    }

    func giveBack(_ count: Int, of host: String) {
        taken.withLock { taken in
            let rest = taken[host, default: 0] - count
            taken[host] = rest > 0 ? rest : nil
        }
    }

    var underWay: Int { taken.withLock { $0.values.reduce(0, +) } }
}
