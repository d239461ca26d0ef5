internal import Bootstrap
internal import Logging
internal import MessageBus
internal import Storage

/// Shows what waits between the stores: how old the oldest outbox row is, and what each JetStream consumer has to do.
///
/// Every replica reads both, so that alerts do not depend on who leads.
struct BacklogGauges: Sendable {
    static let interval: Duration = .seconds(5)
    /// Roles without a consumer that are shown: whoever submits tasks makes their names up.
    static let consumerlessMax = 64

    private let outbox: OutboxStore
    private let bus: MessageBus
    private let oldest: Gauge
    private let pending: GaugeFamily
    private let ackPending: GaugeFamily
    private let delivered: GaugeFamily
    private let logger: Logger

    init(outbox: OutboxStore, bus: MessageBus, registry: MetricsRegistry, logger: Logger) {
        self.outbox = outbox
        self.bus = bus
        self.logger = logger
        let labels = ["stream", "consumer"]
        oldest = registry.gauge("outbox_oldest_seconds", "How long the oldest unpublished message has waited.")[]
        pending = registry.gauge("jetstream_consumer_pending", "Messages not handed out yet.", labels: labels)
        ackPending = registry.gauge(
            "jetstream_consumer_ack_pending", "Messages handed out and not acknowledged.", labels: labels)
        delivered = registry.gauge(
            "jetstream_consumer_delivered", "Deliveries since the consumer was made.", labels: labels)
    }

    /// Reads both in turns until cancelled; one that cannot be asked does not keep the other.
    func run() async throws {
        var shown: Set<[String]> = []
        while true {
            await attempt("the outbox") { oldest.set(try await outbox.oldestAge() / .seconds(1)) }
            await attempt("the consumers") { shown = try await showConsumers(before: shown) }
            try await Task.sleep(for: Self.interval)
        }
    }

    private func showConsumers(before: Set<[String]>) async throws -> Set<[String]> {
        var shown: Set<[String]> = []
        for name in BusTopology.StreamName.allCases {
            for backlog in try await bus.backlogs(of: name) {
                let (stream, consumer) = (name.rawValue, backlog.consumer)
                pending[stream, consumer].set(backlog.pending)
                ackPending[stream, consumer].set(backlog.ackPending)
                delivered[stream, consumer].set(backlog.delivered)
                shown.insert([stream, consumer])
            }
        }
        shown.formUnion(try await showWorkWithoutConsumer(besides: shown))
        for gone in before.subtracting(shown) {
            for family in [pending, ackPending, delivered] { family.remove(gone[0], gone[1]) }
        }
        return shown
    }

    /// Work of roles that never had an agent has no consumer, which agents make: it is shown as if it had, undelivered.
    private func showWorkWithoutConsumer(besides shown: Set<[String]>) async throws -> [[String]] {
        let waiting = try await bus.workHeld().map { (BusTopology.work($0.key), $0.value) }
            .filter { !shown.contains([$0.0.stream.rawValue, $0.0.name]) }
            .sorted { $0.0.name < $1.0.name }
        return waiting.prefix(Self.consumerlessMax).map { consumer, count in
            let stream = consumer.stream.rawValue
            pending[stream, consumer.name].set(count)
            ackPending[stream, consumer.name].set(0)
            delivered[stream, consumer.name].set(0)
            return [stream, consumer.name]
        }
    }

    private func attempt(_ what: String, _ read: () async throws -> Void) async {
        do { try await read() } catch {
            logger.debug("a metric could not be read", metadata: ["of": "\(what)", "error": "\(error)"])
        }
    }
}
