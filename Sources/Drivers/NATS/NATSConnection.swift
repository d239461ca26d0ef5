internal import DriverThreads
package import Logging
internal import Synchronization

/// A connection to a NATS cluster that keeps itself connected until `shutdown`.
///
/// Nothing here blocks the caller's thread: a writer thread owns all writing, answers arrive on the library's threads,
/// and one table with deadlines knows who waits for what. While the connection is down, messages wait in bounded
/// queues; calls end at their own timeouts. Call `shutdown` to release the threads.
package final class NATSConnection: Sendable {
    let configuration: NATSConfiguration
    let logger: Logger
    let writer: Writer
    let keeper: SessionKeeper
    let deadlines = DeadlineThread()
    let states = StateBoard()
    let callbacks = CallbackCount()
    let calls: Mutex<CallLedger>
    private let shared = Mutex(Shared())

    private struct Shared {
        var nextID = 0
        var attachments: [Int: any SessionAttachment] = [:]
        var sessionCount = 0
        var maxPayloadBytes = 1 << 20
        var connecting: CheckedContinuation<Result<Void, NATSError>, Never>?
        var shutdown = Shutdown.no
    }

    enum Shutdown {
        case no
        case underWay([CheckedContinuation<Void, Never>])
        case done
    }

    private init(_ configuration: NATSConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        writer = Writer(
            limits: .init(
                messageMax: configuration.maxQueuedMessages, bytesMax: configuration.maxQueuedBytes,
                timeout: configuration.writeTimeout
            )
        )
        keeper = SessionKeeper(configuration, callbacks: callbacks, logger: logger)
        calls = Mutex(
            CallLedger(
                limits: .init(
                    publishMax: max(1, configuration.maxPendingPublishes),
                    publishBytesMax: configuration.maxPendingPublishBytes,
                    callMax: configuration.maxCalls
                )
            )
        )
    }

    /// Connects to one of the servers.
    ///
    /// Bounded by `connectTimeout` per server plus a second; it does not retry. Cancellation waits for that bound.
    /// - Throws: `connectFailed`, `authenticationFailed`, `tlsFailed`, `invalidConfiguration`.
    package static func connect(
        _ configuration: NATSConfiguration, logger: Logger
    ) async throws(NATSError) -> NATSConnection {
        let connection = NATSConnection(configuration, logger: logger)
        let result = await withCheckedContinuation { continuation in
            connection.shared.withLock { $0.connecting = continuation }
            connection.start()
        }
        try result.get()
        return connection
    }

    /// The present state. Never blocks.
    package var state: NATSConnectionState { states.current }

    /// Starts with the present state, then every change; ends after `.closed`.
    package func stateChanges() -> AsyncStream<NATSConnectionState> { states.changes() }

    /// The largest message, headers included, as the server announced it at the last connect.
    package var maxPayloadBytes: Int { shared.withLock { $0.maxPayloadBytes } }

    private func start() {
        writer.start(
            Writer.Hooks(
                began: { self.sessionBegan($0) },
                willSend: { call, session in self.calls.withLock { $0.markSent(call, session: session) } },
                notSent: { call in self.calls.withLock { $0.markUnsent(call) } },
                failed: { self.writeFailed($0, $1) }
            )
        )
        deadlines.start(name: "nats-deadlines") { self.tick($0) }
        keeper.start(
            SessionKeeper.Hooks(
                onReply: { id, message in self.carryOut(self.calls.withLock { $0.answer(id, Self.answer(message)) }) },
                began: { self.writer.begin($0) },
                lost: { self.sessionLost($0, $1) }
            ),
            failed: { error in
                self.stopThreads()
                self.connected(.failure(error))
            }
        )
    }

    /// On the writer thread, before anything queued is sent.
    private func sessionBegan(_ session: Session) {
        let (attachments, count) = shared.withLock { shared in
            shared.maxPayloadBytes = session.maxPayloadBytes
            shared.sessionCount += 1
            return (Array(shared.attachments.values), shared.sessionCount)
        }
        for attachment in attachments { attachment.attach(to: session) }
        states.connected(session: session.number, server: session.server, reconnectCount: count - 1)
        logger.info("NATS connected", metadata: ["server": "\(session.server)", "reconnects": "\(count - 1)"])
        connected(.success(()))
    }

    private func connected(_ result: Result<Void, NATSError>) {
        let waiting = shared.withLock { shared in
            defer { shared.connecting = nil }
            return shared.connecting
        }
        waiting?.resume(returning: result)
    }

    /// On the keeper's thread.
    private func sessionLost(_ number: Int, _ reason: String) {
        writer.end(session: number)
        states.lost(session: number, reason: reason)
        carryOut(calls.withLock { $0.sessionLost(number) })
        for attachment in shared.withLock({ Array($0.attachments.values) }) { attachment.sessionLost(number) }
        logger.warning("NATS connection lost; reconnecting", metadata: ["reason": "\(reason)"])
    }

    /// On the writer thread.
    private func writeFailed(_ call: UInt64?, _ sent: Session.Sent) {
        let error: NATSError
        switch sent {
        case .written, .notSent:
            return
        case .refused(let status):
            error = NATSError(.library, "The message could not be written. Nothing was sent.", underlying: status)
        case .unknown(let status):
            error = NATSError(
                .outcomeUnknown, "The connection broke while writing. Publish again with the same message id.",
                underlying: status
            )
        }
        if let call {
            carryOut(calls.withLock { $0.answer(call, .failure(error)) })
        } else {
            logger.warning("A NATS message was lost while writing", metadata: ["error": "\(error)"])
        }
    }

    private func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var isConnected = false
        if case .connected = states.current { isConnected = true }
        let step = calls.withLock { $0.expire(now, isConnected: isConnected) }
        carryOut(step)
        let attachments = shared.withLock { Array($0.attachments.values) }
        return attachments.reduce(step.wakeBy) { earliest, attachment in
            [earliest, attachment.tick(now)].compactMap { $0 }.min()
        }
    }

    /// Does what the ledger decided. Never called under a lock.
    func carryOut(_ step: CallLedger.Step) {
        writer.enqueue(calls: step.send)
        if step.leavesMessages { removeEnded() }
        for (waiter, answer) in step.resume { waiter.resume(returning: answer) }
        if let wakeBy = step.wakeBy { deadlines.wake(by: wakeBy) }
    }

    /// Without a session nobody else takes the messages of ended calls out of the queue, and callers who try again
    /// would fill it without bound. All that is queued is looked at: what was missed before, because its call ended
    /// while it was being queued or was with the writer, is found now.
    private func removeEnded() {
        let queued = writer.queuedCalls
        writer.remove(calls: calls.withLock { $0.ended(among: queued) })
    }

    private static func answer(_ message: NATSMessage) -> CallLedger.Answer {
        guard message.status == 503 else { return .success(message) }
        return .failure(NATSError(.noResponders, "Nobody listens on that subject, or no stream captures it."))
    }

    /// - Returns: an id for `detach`; nil when the connection is shut down.
    func register(_ attachment: any SessionAttachment) -> Int? {
        let id = shared.withLock { shared -> Int? in
            guard case .no = shared.shutdown else { return nil }
            shared.nextID += 1
            shared.attachments[shared.nextID] = attachment
            return shared.nextID
        }
        if id != nil { writer.enqueue(job: { attachment.attach(to: $0) }) }
        return id
    }

    func detach(_ id: Int) {
        shared.withLock { _ = $0.attachments.removeValue(forKey: id) }
    }

    func stopThreads() {
        writer.stop()
        deadlines.stop()
        keeper.stop()
    }

    /// True for the first caller, who then has to do it; the others are resumed when it is done.
    func beginShutdown(_ continuation: CheckedContinuation<Void, Never>) -> [any SessionAttachment]? {
        let (attachments, isDone) = shared.withLock { shared -> ([any SessionAttachment]?, Bool) in
            switch shared.shutdown {
            case .no:
                shared.shutdown = .underWay([continuation])
                defer { shared.attachments = [:] }
                return (Array(shared.attachments.values), false)
            case .underWay(let waiting):
                shared.shutdown = .underWay(waiting + [continuation])
                return (nil, false)
            case .done:
                return (nil, true)
            }
        }
        if isDone { continuation.resume() }
        return attachments
    }

    func endShutdown() {
        let waiting = shared.withLock { shared -> [CheckedContinuation<Void, Never>] in
            defer { shared.shutdown = .done }
            if case .underWay(let waiting) = shared.shutdown { return waiting }
            return []
        }
        for continuation in waiting { continuation.resume() }
    }
}
