internal import Contracts
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// The fast path of the outbox: publishes what was just committed, and forgets it when the bus has it.
///
/// Whatever this process does not get done (a full queue, a lost bus, its own death) stays in the outbox, and the relay
/// of the leading replica publishes it a second later.
final class EffectPublisher: Service {
    /// Committed messages waiting here for the bus; beyond that they wait in the outbox.
    static let queuedMax = 16_384

    private let bus: MessageBus
    private let outbox: OutboxStore
    private let logger: Logger
    private let queue: AsyncStream<[OutboxMessage]>
    private let enqueue: AsyncStream<[OutboxMessage]>.Continuation

    init(bus: MessageBus, outbox: OutboxStore, logger: Logger) {
        self.bus = bus
        self.outbox = outbox
        self.logger = logger
        (queue, enqueue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedMax))
    }

    func run() async throws {
        await withDiscardingTaskGroup { group in
            for await messages in queue.cancelOnGracefulShutdown() {
                for message in messages { group.addTask { await self.publish(message) } }
            }
        }
    }

    /// Starts publishing committed messages; never waits.
    func publish(_ messages: [OutboxMessage]) {
        if !messages.isEmpty { enqueue.yield(messages) }
    }

    /// Tells watchers what happened. Lost ones are made up for by the watchers, who count sequences.
    func announce(_ events: [TaskEvent]) {
        for event in events { send { try bus.send(event, on: .events(event.tenant, event.task)) } }
    }

    /// Asks agents to stop. Lost ones are made up for by the end of the grace, which fences the attempt.
    func stop(_ notices: [CancelNotice]) {
        for notice in notices { send { try bus.send(notice, on: .cancel(notice.task)) } }
    }

    private func send(_ body: () throws -> Void) {
        do { try body() } catch { logger.debug("a notification was not sent", metadata: ["error": "\(error)"]) }
    }

    /// Publishes one message and forgets it; true when the bus has it.
    @discardableResult
    func publish(_ message: OutboxMessage) async -> Bool {
        do {
            var headers = [MessageHeader.tenant: message.tenant.text]
            headers[MessageHeader.traceparent] = message.traceparent
            _ = try await bus.publishRaw(
                subject: Subject(stored: message.subject), payload: Array(message.payload.bytes), id: message.messageID,
                headers: headers
            )
            try await outbox.forget(message.messageID)
            return true
        } catch {
            logger.debug("left in the outbox", metadata: ["id": "\(message.messageID)", "error": "\(error)"])
            return false
        }
    }
}
