package import Bootstrap
package import Contracts
package import Logging
package import NATS

/// Typed messages over NATS JetStream.
///
/// Owns: which streams and consumers exist, typed publishing, consuming in batches, giving up on messages. Hears and
/// says every message of `Contracts`. Knows nothing of what they mean.
///
/// A wiped store is repaired wherever it is noticed (a publish that finds no stream, a consumer that finds nothing
/// to pull from, `run()` after a reconnect) and told through `lostStreams()`.
package final class MessageBus: Sendable {
    let connection: NATSConnection
    let keeper: TopologyKeeper
    let logger: Logger
    let counters = BusCounters()
    let admin: JetStreamAdmin
    let configuration: BusConfiguration

    /// How often `run()` looks at the streams when nothing else gives reason to.
    private static let inspectionInterval: Duration = .seconds(15)
    /// For the answer to a health check.
    private static let healthTimeout: Duration = .seconds(2)

    /// The connection stays the caller's: it shuts it down after the bus's users have ended.
    package init(connection: NATSConnection, configuration: BusConfiguration = BusConfiguration(), logger: Logger) {
        self.connection = connection
        self.configuration = configuration
        self.logger = logger
        admin = JetStreamAdmin(connection: connection)
        keeper = TopologyKeeper(admin: admin, configuration: configuration, logger: logger)
    }

    // MARK: Topology

    /// Creates and updates every stream and consumer; idempotent. Says what it changed.
    ///
    /// Throws `topologyConflict`, after everything else was done, when a stream or consumer differs in a setting that
    /// cannot be changed in place; its message names the differences.
    package func setUp() async throws(BusError) -> [TopologyChange] {
        let largest = connection.maxPayloadBytes
        if largest < BusTopology.messageBytesMax {
            logger.warning(
                "the server's max_payload is below what a task's output may need",
                metadata: ["max_payload": "\(largest)", "wanted": "\(BusTopology.messageBytesMax)"]
            )
        }
        let changes = try await keeper.setUp(changing: true)
        for change in changes { logger.notice("topology changed", metadata: ["change": "\(change)"]) }
        let conflicts = changes.filter { $0.kind == .conflict }
        guard conflicts.isEmpty else {
            let text = conflicts.map(\.description).joined(separator: "; ")
            throw BusError(
                .topologyConflict,
                "\(text). Nothing of it was touched: drain and delete it, then set up again."
            )
        }
        return changes
    }

    /// What `setUp` would change; empty when everything is as declared.
    package func plan() async throws(BusError) -> [TopologyChange] {
        try await keeper.setUp(changing: false)
    }

    /// Makes the role's durable consumer exist, now and after every loss of the store.
    package func ensureWorkConsumer(_ role: AgentRole) async throws(BusError) {
        try await keeper.ensure(BusTopology.work(role))
    }

    /// The stream as it lives now. Throws `topologyMissing` when it does not exist.
    package func incarnation(of stream: BusTopology.StreamName) async throws(BusError) -> StreamIncarnation {
        guard let info = try await admin.stream(stream) else {
            throw BusError(.topologyMissing, "Stream \(stream.rawValue) does not exist.")
        }
        do throws(JSONError) {
            var reader = try JSONReader(info)
            guard var state = try reader.optionalObject("state") else { throw reader.error("state", "is required") }
            return StreamIncarnation(
                created: try reader.string("created"), firstSequence: UInt64(clamping: try state.int("first_seq")),
                lastSequence: UInt64(clamping: try state.int("last_seq")),
                messageCount: UInt64(clamping: try state.int("messages")),
                sizeBytes: UInt64(clamping: try state.int("bytes"))
            )
        } catch {
            throw BusError(.refused, "JetStream described stream \(stream.rawValue) unreadably.", underlying: error)
        }
    }

    /// What waits for the agents of a role; nil when the role has no consumer yet.
    package func consumerState(_ role: AgentRole) async throws(BusError) -> ConsumerBacklog? {
        try await backlog(of: BusTopology.work(role))
    }

    /// What a consumer still has to hand out; nil when it does not exist.
    package func backlog(of consumer: BusTopology.Consumer) async throws(BusError) -> ConsumerBacklog? {
        guard let info = try await admin.consumer(consumer) else { return nil }
        do throws(JSONError) {
            var reader = try JSONReader(info)
            return ConsumerBacklog(
                pending: try reader.int("num_pending"), ackPending: try reader.int("num_ack_pending"),
                redelivered: try reader.int("num_redelivered"), waiting: try reader.int("num_waiting")
            )
        } catch {
            throw BusError(.refused, "JetStream described consumer \(consumer.name) unreadably.", underlying: error)
        }
    }

    /// Streams that lost their messages, from now on. Whoever derives messages from Postgres derives them again.
    package func lostStreams() async -> AsyncStream<StreamLoss> {
        await keeper.listen()
    }

    // MARK: Running

    /// Watches the streams until cancelled: after every reconnect and every 15 seconds it repairs what is missing.
    package func run() async throws {
        let states = connection.stateChanges()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await state in states {
                        if case .connected(_, let count) = state, count > 0 { await self.inspect() }
                        if case .closed = state { return }
                    }
                }
                group.addTask {
                    while true {
                        try await Task.sleep(for: Self.inspectionInterval, tolerance: .seconds(1))
                        await self.inspect()
                    }
                }
                try await group.next()
                group.cancelAll()
            }
        } catch is CancellationError {
            await keeper.finish()
            throw CancellationError()
        }
        await keeper.finish()
    }

    /// Connection events of the wire, from now on.
    package func connectionEvents() -> AsyncStream<NATSConnectionState> {
        connection.stateChanges()
    }

    /// One round trip to the server. Throws `unavailable` when it does not answer within two seconds.
    package func checkHealth() async throws(BusError) {
        do {
            _ = try await connection.roundTripTime(timeout: Self.healthTimeout)
        } catch {
            throw BusError(error, doing: "A round trip to NATS")
        }
    }

    /// Connected at this moment, as far as this end knows.
    package var isConnected: Bool {
        if case .connected = connection.state { true } else { false }
    }

    /// The largest payload the server takes.
    package var payloadBytesMax: Int { min(connection.maxPayloadBytes, BusTopology.messageBytesMax) }

    /// Where the bus's users report their part of a trace; a service to run.
    package var tracer: Tracer { configuration.tracer }

    /// Counts since the start, for metrics.
    package var counts: BusCounts { counters.counts }

    private func inspect() async {
        do {
            try await keeper.repair()
        } catch {
            logger.warning("could not inspect the streams; they are inspected again", metadata: ["error": "\(error)"])
        }
    }
}
