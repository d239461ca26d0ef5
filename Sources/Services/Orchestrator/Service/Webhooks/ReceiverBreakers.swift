internal import Contracts
internal import Coordination
internal import Crypto
internal import Logging
internal import Storage
internal import Synchronization

/// The circuit breakers of webhooks' receivers, one for each host of each tenant, `webhook:<tenant>:<host>`.
///
/// Tenants name hosts, so their number is bounded here: the longest unused one that is closed makes room for a new one.
final class ReceiverBreakers: Sendable {
    static let prefix = "webhook:"
    /// Half of the registry, so that what tenants name never takes the place of the installation's own.
    static let breakersMax = BreakerRegistry.namesMax / 2

    private let registry: BreakerRegistry
    private let logger: Logger
    private let used = Mutex<[String: ContinuousClock.Instant]>([:])

    init(registry: BreakerRegistry, logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    /// Nil when there is room for no other: its calls go unguarded, bounded by their number and time alone.
    func breaker(of target: DeliveryTarget) -> CircuitBreaker? {
        let name = Self.name(target)
        guard makeRoom(for: name) else { return nil }
        do throws(CoordinationError) {
            return try registry.breaker(name)
        } catch {
            logger.warning("a webhook's receiver has no circuit breaker", metadata: ["reason": "\(error.message)"])
            return nil
        }
    }

    private func makeRoom(for name: String) -> Bool {
        used.withLock { used in
            if used[name] == nil, used.count >= Self.breakersMax {
                let oldest = used.sorted { $0.value < $1.value }.first { registry.retire($0.key) }
                guard let oldest else { return false }
                used[oldest.key] = nil
            }
            used[name] = .now
            return true
        }
    }

    /// Hosts too long for a breaker's name are told apart by a hash.
    static func name(_ target: DeliveryTarget) -> String {
        let whole = "\(prefix)\(target)"
        if whole.utf8.count <= BreakerRegistry.nameBytesMax { return whole }
        let hash = SHA256.hash(data: Array(target.host.utf8)).prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }
        return "\(prefix)\(target.tenant):\(target.host.suffix(36))-\(hash.joined())"
    }
}
