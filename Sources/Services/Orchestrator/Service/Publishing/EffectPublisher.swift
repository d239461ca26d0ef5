internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// The fast path of the outbox: publishes what was just committed, and forgets it when the bus has it.
///
/// Whatever this process does not get done (a full queue, a lost bus, its own death) stays in the outbox, and the relay
/// of the leading replica publishes it a second later.
final class EffectPublisher: Service {
    /// Committed messages waiting here for the bus; beyond that they wait in the outbox.
    static let queuedMax = 16_384
    /// Messages published in one call.
    static let togetherMax = 256
    /// Messages forgotten in one statement.
    static let forgottenMax = 512
    /// Nobody waits for it, as long as the relay, which looks after a second, does not find them.
    static let forgetPace = Pace(interval: .milliseconds(50))

    private let bus: MessageBus
    private let outbox: OutboxStore
    private let logger: Logger
    private let committed = Mutex<[OutboxMessage]>([])
    private let arrivals: AsyncStream<Void>
    private let arrival: AsyncStream<Void>.Continuation
    /// What the bus has and the outbox still holds.
    private let acknowledged = Mutex<[String]>([])
    private let nudges: AsyncStream<Void>
    private let nudge: AsyncStream<Void>.Continuation

    init(bus: MessageBus, outbox: OutboxStore, logger: Logger) {
        self.bus = bus
        self.outbox = outbox
        self.logger = logger
        (arrivals, arrival) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (nudges, nudge) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Publishes until the shutdown begins, then finishes what is under way.
    func run() async throws {
        async let forgetting: Void = forgetAcknowledged()
        await withDiscardingTaskGroup { group in
            for await _ in arrivals.cancelOnGracefulShutdown() {
                for messages in takeCommitted() { group.addTask { await self.publishAndForget(messages) } }
            }
        }
        nudge.finish()
        await forgetting
    }

    /// One statement for all that the bus acknowledged while the last one ran. What fails here the relay finds a second
    /// later, and publishes again under the same id.
    private func forgetAcknowledged() async {
        for await _ in nudges {
            let start = ContinuousClock.now
            await forgetAll()
            await Self.forgetPace.rest(since: start)
        }
        await forgetAll()
    }

    private func forgetAll() async {
        while true {
            let batch = acknowledged.withLock { acknowledged in
                let batch = Array(acknowledged.prefix(Self.forgottenMax))
                acknowledged.removeFirst(batch.count)
                return batch
            }
            if batch.isEmpty { return }
            do { try await outbox.forget(batch) } catch {
                logger.debug("left in the outbox", metadata: ["count": "\(batch.count)", "error": "\(error)"])
            }
            // What came meanwhile has nudged again.
            if batch.count < Self.forgottenMax { return }
        }
    }

    /// Starts publishing committed messages; never waits.
    func publish(_ messages: [OutboxMessage]) {
        if messages.isEmpty { return }
        committed.withLock { $0 += messages.prefix(Self.queuedMax - $0.count) }
        arrival.yield()
    }

    private func takeCommitted() -> [[OutboxMessage]] {
        let messages = committed.withLock { committed in
            defer { committed = [] }
            return committed
        }
        return stride(from: 0, to: messages.count, by: Self.togetherMax).map { start in
            Array(messages[start..<min(start + Self.togetherMax, messages.count)])
        }
    }

    /// Asks agents to stop. Lost ones are made up for by the end of the grace, which fences the attempt.
    func stop(_ notices: [CancelNotice]) {
        for notice in notices {
            do { try bus.send(notice, on: .cancel(notice.task)) } catch {
                logger.debug("a cancel notice was not sent", metadata: ["error": "\(error)"])
            }
        }
    }

    private func publishAndForget(_ messages: [OutboxMessage]) async {
        let published = await publishTogether(messages).published
        acknowledged.withLock { $0 += published }
        nudge.yield()
    }

    /// What became of messages that were published together; all others stay in the outbox.
    struct Published: Sendable {
        /// The ids of those that the bus has.
        var published: [String] = []
        /// Those that it will never take.
        var refused: [(message: OutboxMessage, error: BusError)] = []
    }

    /// Publishes them in one call.
    func publishTogether(_ messages: [OutboxMessage]) async -> Published {
        var outcome = Published()
        outcome.published.reserveCapacity(messages.count)
        for (message, result) in zip(messages, await bus.publishRaw(messages.map(\.onTheBus))) {
            switch result {
            case .success: outcome.published.append(message.messageID)
            case .failure(let error):
                if error.isOfTheMessage { outcome.refused.append((message, error)) }
                logger.debug(
                    "left in the outbox",
                    metadata: [
                        "id": "\(message.messageID)", "error": "\(error)",
                        "trace_id": "\(TraceContext.id(of: message.traceparent))",
                    ])
            }
        }
        return outcome
    }

    /// Whether publishing makes sense at this moment, as far as is known.
    var isConnected: Bool { bus.isConnected }
}

extension OutboxMessage {
    fileprivate var onTheBus: StreamMessage {
        var headers = [MessageHeader.tenant: tenant.text]
        headers[MessageHeader.traceparent] = traceparent
        return StreamMessage(
            subject: subject, headers: headers, payload: Array(payload.bytes), messageID: messageID)
    }
}
