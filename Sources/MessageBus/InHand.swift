internal import NATS
internal import Synchronization

/// The deliveries somebody works on right now, which the server must not hand to another.
final class InHand: Sendable {
    /// A third of the server's patience.
    static let extendEvery: Duration = BusTopology.ackWait / 3

    private let held = Mutex<[Delivery]>([])

    var deliveries: [Delivery] { held.withLock { $0 } }

    func replace(with deliveries: [Delivery]) {
        held.withLock { $0 = deliveries }
    }
}
