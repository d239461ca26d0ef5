internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import NATS

/// One `consume` call at work: pull, read, hand over, settle.
struct BatchConsumer<Message: BusPayload>: Sendable {
    let bus: MessageBus
    let pull: PullConsumer
    let batchMax: Int
    let progress: HandlingProgress
    let handle: @Sendable ([Received<Message>]) async throws -> [Settlement]
    let inHand = InHand()

    /// A throwing handler sees the whole batch this often before its messages are tried one by one.
    private static var wholeBatchTries: Int { 3 }
    /// Single messages that may fail in a row before the world is blamed.
    private static var singleTries: Int { 3 }
    private static var retryCap: Duration { .seconds(5) }

    func run() async throws {
        while true {
            let deliveries: [Delivery]
            do {
                deliveries = try await pull.nextBatch(max: batchMax)
            } catch {
                if error.code == .cancelled { throw CancellationError() }
                throw BusError(error, doing: "Pulling a batch")
            }
            // Closed: by the valve, or with the connection.
            if deliveries.isEmpty { return }
            if Task.isCancelled {
                handBack(deliveries)
                throw CancellationError()
            }
            inHand.replace(with: deliveries)
            defer { inHand.replace(with: []) }
            do {
                try await process(deliveries)
            } catch {
                // What was settled before stays so: the server takes a message's first word.
                handBack(deliveries)
                throw error
            }
        }
    }

    private func handBack(_ deliveries: [Delivery]) {
        for delivery in deliveries {
            bus.settle("handing back") { () throws(NATSError) in try pull.reject(delivery) }
        }
    }

    private func process(_ deliveries: [Delivery]) async throws {
        bus.counters.change { $0.consumed += deliveries.count }
        var readable: [Received<Message>] = []
        var hopeless: [Hopeless] = []
        readable.reserveCapacity(deliveries.count)
        for delivery in deliveries {
            switch delivery.decode(Message.self) {
            case .success(let received): readable.append(received.working(bus.tracer))
            case .failure(let error):
                hopeless.append(
                    Hopeless(delivery: delivery, reason: GiveUpReason.undecodable, error: error.description))
            }
        }
        await giveUp(hopeless)
        if !readable.isEmpty { try await handOver(readable) }
    }

    private struct Hopeless: Sendable {
        let delivery: Delivery
        let reason: String
        let error: String
    }

    /// All at once, so that a flood of them does not wait for one confirmation after the other. Their failures count on
    /// until that is done: while a letter cannot be stored, its message is tried once before each next try to store it.
    private func giveUp(_ messages: [Hopeless]) async {
        await withTaskGroup(of: Void.self) { group in
            for message in messages {
                group.addTask {
                    let isDone = await bus.giveUp(
                        message.delivery, on: pull, reason: message.reason, error: message.error)
                    if isDone { progress.forget(message.delivery.progressKey) }
                }
            }
        }
    }

    private func handOver(_ batch: [Received<Message>]) async throws {
        var attempt = 0
        while true {
            do {
                return await settle(batch, as: try await settlements(for: batch))
            } catch {
                if error is CancellationError || Task.isCancelled { throw CancellationError() }
                bus.logger.warning(
                    "a batch could not be handled; it is kept and tried again",
                    metadata: ["messages": "\(batch.count)", "attempt": "\(attempt + 1)", "error": "\(error)"]
                )
            }
            try await Task.sleep(for: RetryDelay.jittered(attempt: attempt, cap: Self.retryCap))
            attempt += 1
            if attempt >= Self.wholeBatchTries { return try await handOverOneByOne(batch) }
        }
    }

    /// Tells a broken message from a broken world, and lets neither stand in the way of what comes behind.
    private func handOverOneByOne(_ batch: [Received<Message>]) async throws {
        var isAnyHandled = false
        var failedCount = 0
        for (index, received) in batch.enumerated() {
            do {
                await settle([received], as: try await settlements(for: [received]))
                isAnyHandled = true
            } catch {
                if error is CancellationError || Task.isCancelled { throw CancellationError() }
                failedCount += 1
                await postpone(received, "\(error)")
            }
            // Nothing passed and several failed: the world is broken, do not hammer it with the rest.
            guard isAnyHandled || failedCount < Self.singleTries else {
                for untried in batch[(index + 1)...] { handBack(untried) }
                return
            }
        }
    }

    /// Hands back a message that made the handler throw. It is given up only when others were handled since it first
    /// did: while nothing passes, the cause is elsewhere.
    private func postpone(_ received: Received<Message>, _ error: String) async {
        let key = received.delivery.progressKey
        let failureCount = progress.failed(key, isThrown: true)
        if failureCount >= BusTopology.deliveriesMax, progress.wasMade(sinceThrowOf: key) {
            return await giveUp([
                Hopeless(delivery: received.delivery, reason: GiveUpReason.deliveriesExhausted, error: error)
            ])
        }
        handBack(received)
    }

    private func handBack(_ received: Received<Message>) {
        bus.counters.change { $0.retried += 1 }
        let wait = RetryDelay.jittered(attempt: received.deliveryCount - 1, base: .seconds(1), cap: Self.retryCap)
        bus.settle("postponing") { () throws(NATSError) in try pull.reject(received.delivery, delay: wait) }
    }

    private func settlements(for batch: [Received<Message>]) async throws -> [Settlement] {
        let start = Date()
        let settlements = try await handle(batch)
        for received in batch { bus.trace(.consumer, "consume", received.subject, received.span, from: start) }
        precondition(settlements.count == batch.count, "A handler must settle every message it was given.")
        progress.handled(batch.count)
        return settlements
    }

    private func settle(_ batch: [Received<Message>], as settlements: [Settlement]) async {
        var done: [Delivery] = []
        var hopeless: [Hopeless] = []
        for (received, settlement) in zip(batch, settlements) {
            let key = received.delivery.progressKey
            switch settlement {
            case .acknowledge:
                progress.forget(key)
                done.append(received.delivery)
            case .retry(let wait, let error):
                guard progress.failed(key, isThrown: false) >= BusTopology.deliveriesMax else {
                    again(received, after: wait)
                    continue
                }
                hopeless.append(
                    Hopeless(
                        delivery: received.delivery, reason: GiveUpReason.deliveriesExhausted, error: error))
            case .wait(let wait): again(received, after: wait)
            case .giveUp(let reason, let error):
                hopeless.append(Hopeless(delivery: received.delivery, reason: reason, error: error))
            }
        }
        await giveUp(hopeless)
        if !done.isEmpty {
            bus.settle("acknowledging") { () throws(NATSError) in try pull.acknowledge(done) }
        }
    }

    private func again(_ received: Received<Message>, after wait: Duration) {
        bus.counters.change { $0.retried += 1 }
        bus.settle("retrying") { () throws(NATSError) in try pull.reject(received.delivery, delay: wait) }
    }
}
