internal import Contracts
internal import Logging
internal import NATS

extension MessageBus {
    /// Hands batches of a durable consumer's messages to `handle` and settles each as it says, until cancelled or
    /// until `valve` or the connection is closed: then the batch in hand is finished and the call returns.
    ///
    /// `handle` returns one settlement per message, in order, and must stand seeing a message again. When it throws,
    /// the batch is kept and tried again with backoff, then message by message; what still makes it throw is delivered
    /// again later, with its neighbours passing by. It is given up only when others were handled meanwhile: while
    /// nothing passes, the cause is taken to be outside the messages, however long it takes.
    ///
    /// What cannot be read, and what this call has failed to handle five times, becomes a dead letter. Deliveries that
    /// ended elsewhere are not known here: where several processes consume, each counts its own failures.
    /// - Parameter batchMax: also bounds what is prefetched, at twice as much.
    package func consume<Message>(
        _ channel: Channel<Message>, as consumer: BusTopology.Consumer, batchMax: Int = 256, valve: IntakeValve? = nil,
        handle: @escaping @Sendable ([Received<Message>]) async throws -> [Settlement]
    ) async throws {
        try await ensureUntilThere(consumer)
        let pull = try openPull(consumer, capacity: batchMax * 2, holdCredits: false)
        defer { pull.close() }
        valve?.onClose { pull.close() }
        let progress = HandlingProgress(failingMax: consumer.ackPendingMax)
        let batches = BatchConsumer(bus: self, pull: pull, batchMax: batchMax, progress: progress, handle: handle)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.extendRegularly(pull, inHand: batches.inHand) }
            group.addTask { await self.repairWhenTroubled(pull) }
            defer { group.cancelAll() }
            try await batches.run()
        }
    }

    func openPull(
        _ consumer: BusTopology.Consumer, capacity: Int, holdCredits: Bool
    ) throws(BusError) -> PullConsumer {
        do {
            return try connection.pullConsumer(
                stream: consumer.stream.rawValue, consumer: consumer.name, capacity: capacity,
                holdCreditsUntilSettled: holdCredits
            )
        } catch {
            throw BusError(error, doing: "Opening consumer \(consumer.name)")
        }
    }

    /// Tries until the consumer exists; ends early only on cancellation or on what trying again cannot mend.
    func ensureUntilThere(_ consumer: BusTopology.Consumer) async throws {
        var attempt = 0
        while true {
            do throws(BusError) {
                return try await keeper.ensure(consumer)
            } catch {
                guard error.isTransient else { throw error }
                logger.warning(
                    "waits for its consumer", metadata: ["consumer": "\(consumer.name)", "error": "\(error)"]
                )
            }
            if configuration.ownsStreams { _ = await repairQuietly() }
            try await Task.sleep(for: RetryDelay.jittered(attempt: attempt, cap: .seconds(5)))
            attempt += 1
        }
    }

    /// Extends what is in hand every ten seconds, until cancelled.
    func extendRegularly(_ pull: PullConsumer, inHand: InHand) async throws {
        while true {
            try await Task.sleep(for: InHand.extendEvery, tolerance: .milliseconds(500))
            for delivery in inHand.deliveries {
                settle("extending") { () throws(NATSError) in try pull.extend(delivery) }
            }
        }
    }

    /// Repairs the topology whenever the consumer finds nothing to pull from; ends when it is closed.
    func repairWhenTroubled(_ pull: PullConsumer) async {
        for await problem in pull.problemReports {
            logger.info("a consumer is in trouble", metadata: ["problem": "\(problem)"])
            if await repairQuietly() { pull.restart() }
        }
    }

    /// False when it has to be tried again; the consumer reports its trouble again by then.
    private func repairQuietly() async -> Bool {
        do {
            try await keeper.repair()
            return true
        } catch {
            logger.warning("the topology could not be repaired; it is tried again", metadata: ["error": "\(error)"])
            return false
        }
    }
}
