internal import Logging
internal import Synchronization

/// Messages of one durable consumer, pulled with credits.
///
/// At most `capacity` messages are asked for, buffered, or (with `holdCreditsUntilSettled`) handed out and not yet
/// settled. So agents with `capacity` = free slots never take work that an idle agent could do. It survives reconnects,
/// lost servers and deleted consumers: it asks again, with backoff, and says so in `problem`.
package final class PullConsumer: SessionAttachment {
    struct Waiter {
        let continuation: CheckedContinuation<Result<[Delivery], NATSError>, Never>
        let max: Int
    }

    typealias Attached = (session: Session, subscription: Int, inbox: String)

    struct State {
        var ledger: PullLedger
        var id: Int?
        var buffer: [Delivery] = []
        var waiter: Waiter?
        /// Counts subscriptions: what an older one still delivers is given back.
        var epoch = 0
        /// When the consumer was created, as the server wrote it, and the first subscription to this one: there was
        /// another of its name before when its stream was lost.
        var created: String?
        var bornIn = 0
        var attached: Attached?
        var isRequestQueued = false
        var isRestartQueued = false
        /// When to subscribe anew after the server said that there is nothing to pull from.
        var restartAt: ContinuousClock.Instant?
        var isClosed = false
        /// Set from `close` until the subscription has been let go.
        var closing: Closing?
        var problem: NATSError?
        var problemCount = 0
    }

    /// The inbox token of the answer to "does it exist?"; pull requests have numbers.
    private static let infoToken = "info"

    package let stream: String
    package let consumer: String
    let connection: NATSConnection
    private let requestSubject: String
    private let requestTail: String
    private let heartbeat: Duration
    let state: Mutex<State>
    let reports: AsyncStream<NATSError>.Continuation
    /// One element whenever the consumer stops answering, for whoever can re-create it. The newest is kept.
    package let problemReports: AsyncStream<NATSError>

    init(_ connection: NATSConnection, stream: String, consumer: String, options: PullOptions) {
        self.connection = connection
        self.stream = stream
        self.consumer = consumer
        // The server refuses a heartbeat longer than half the request.
        heartbeat = min(options.idleHeartbeat, options.requestExpires / 2)
        requestSubject = "$JS.API.CONSUMER.MSG.NEXT.\(stream).\(consumer)"
        let bytes = max(options.maxBytes, connection.maxPayloadBytes + PullOptions.headroomBytes)
        requestTail =
            ",\"expires\":\(options.requestExpires.wholeNanoseconds)"
            + ",\"idle_heartbeat\":\(heartbeat.wholeNanoseconds),\"max_bytes\":\(bytes)}"
        state = Mutex(
            State(
                ledger: PullLedger(
                    capacity: options.capacity, holdsUntilSettled: options.holdCreditsUntilSettled, now: .now
                )
            )
        )
        (problemReports, reports) = AsyncStream.makeStream(of: NATSError.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// What is wrong at the moment; nil while the server answers.
    package var problem: NATSError? { state.withLock { $0.problem } }

    /// How often something went wrong so far.
    package var problemCount: Int { state.withLock { $0.problemCount } }

    /// Credits at the server, in the buffer, and held by the caller.
    package var credits: (requested: Int, buffered: Int, held: Int) {
        state.withLock { ($0.ledger.requested, $0.ledger.buffered, $0.ledger.held.count) }
    }

    /// Waits for at least one message and returns what is there. One caller at a time.
    ///
    /// - Returns: up to `max` messages in the order of delivery; empty only when the consumer was closed.
    /// - Throws: `cancelled` when the task was cancelled; nothing is lost then.
    package func nextBatch(max: Int) async throws(NATSError) -> [Delivery] {
        let max = Swift.max(1, max)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> Result<[Delivery], NATSError>? in
                    if !state.buffer.isEmpty { return .success(Self.take(max, &state)) }
                    if state.isClosed { return .success([]) }
                    precondition(state.waiter == nil, "A pull consumer has one caller of nextBatch at a time.")
                    if Task.isCancelled { return .failure(Self.cancelled) }
                    state.waiter = Waiter(continuation: continuation, max: max)
                    return nil
                }
                if let ready {
                    continuation.resume(returning: ready)
                } else if Task.isCancelled {
                    cancelWaiter()
                }
            }
        } onCancel: {
            cancelWaiter()
        }
        requestIfWanted()
        return try result.get()
    }

    /// Asks anew at once: for whoever has just re-created the stream or the consumer.
    package func restart() {
        state.withLock { $0.ledger.forgetFailures() }
        queueRestart()
    }

    /// The caller is done with it: its credit, if held, is free again.
    func settle(_ deliveries: [Delivery]) {
        state.withLock { state in
            for delivery in deliveries where delivery.ticket != 0 { state.ledger.settle(delivery.ticket) }
        }
        requestIfWanted()
    }

    /// Says nothing about deliveries of a consumer that is gone: streams are numbered from 1 again after a loss, so the
    /// word would be taken for one about another message.
    func send(_ text: String, to deliveries: [Delivery]) throws(NATSError) {
        let payload = Array(text.utf8)
        let bornIn = state.withLock { $0.bornIn }
        let answers = deliveries.filter { $0.epoch >= bornIn }.compactMap {
            $0.message.reply.map { Outgoing(subject: $0, payload: payload) }
        }
        if !answers.isEmpty { try connection.writer.enqueue(answers) }
    }

    func confirm(_ text: String, to delivery: Delivery, timeout: Duration?) async throws(NATSError) {
        guard let reply = delivery.message.reply else { return }
        guard delivery.epoch >= state.withLock({ $0.bornIn }) else {
            throw NATSError(.jetStream, "The consumer that delivered the message is gone, and its stream with it.")
        }
        _ = try await connection.call(.request, timeout: timeout ?? connection.configuration.requestTimeout) { id in
            Outgoing(subject: reply, payload: Array(text.utf8), call: id)
        }
    }

    // MARK: - SessionAttachment

    func registered(as id: Int) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.id = id }
            return state.isClosed
        }
        if isClosed { connection.detach(id) }
    }

    func attach(to session: Session) {
        guard state.withLock({ !$0.isClosed && $0.attached?.session.number != session.number }) else { return }
        subscribe(session)
    }

    func sessionLost(_ number: Int) {
        state.withLock { state in
            guard state.attached?.session.number == number else { return }
            state.attached = nil
            state.epoch += 1
            state.ledger.reset(.now)
            state.ledger.forgetFailures()
        }
        _ = endWhenQuiet(.now)
    }

    func connectionCloses() { close() }

    func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        if let next = endWhenQuiet(now) { return next }
        let (isOverdue, restarts, next) = state.withLock { state -> (Bool, Bool, ContinuousClock.Instant?) in
            guard state.attached != nil, !state.isClosed else { return (false, false, nil) }
            let overdue = state.ledger.overdue(heartbeat: heartbeat)
            let dues = [overdue, state.ledger.retryAt, state.restartAt].compactMap { $0 }
            let next = dues.filter { $0 > now }.min()
            return (overdue.map { $0 <= now } ?? false, state.restartAt.map { $0 <= now } ?? false, next)
        }
        if isOverdue { trouble("The server did not answer a pull request for two heartbeats; asking again.") }
        if isOverdue || restarts { queueRestart() } else { requestIfWanted() }
        return next
    }

    // MARK: - On the writer thread

    /// Subscribes on a new inbox, so that no request of before can be answered there, and asks.
    private func subscribe(_ session: Session) {
        let (epoch, old) = state.withLock { state in
            state.epoch += 1
            state.isRestartQueued = false
            state.restartAt = nil
            state.ledger.reset(.now)
            defer { state.attached = nil }
            return (state.epoch, state.attached)
        }
        if let old { connection.retire(old.subscription, in: old.session) }
        do throws(NATSError) {
            let inbox = try newInbox()
            let prefix = inbox.utf8.count + 1
            // Keeps the consumer until the subscription has ended: what still comes then is given back, and who has
            // closed it need not stay for that.
            let subscription = try session.subscribe(inbox + ".*", pendingMax: nil) { message, _ in
                self.received(message, epoch: epoch, prefix: prefix)
            }
            let isCurrent = state.withLock { state in
                guard !state.isClosed, state.epoch == epoch else { return false }
                state.attached = (session, subscription, inbox)
                return true
            }
            guard isCurrent else { return connection.retire(subscription, in: session) }
            // A server says nothing to a pull from what does not exist; it does answer this.
            let question = Outgoing(subject: "$JS.API.CONSUMER.INFO.\(stream).\(consumer)", payload: [])
            _ = session.send(question, reply: "\(inbox).\(Self.infoToken)")
            request(session)
        } catch {
            // The connection broke meanwhile; the next session attaches again.
            trouble("The consumer's inbox could not be subscribed: \(error.message)")
        }
    }

    private func request(_ session: Session) {
        let (request, inbox) = state.withLock { state -> (PullLedger.Request?, String) in
            state.isRequestQueued = false
            guard !state.isClosed, let attached = state.attached, attached.session === session else {
                return (nil, "")
            }
            return (state.ledger.request(.now), attached.inbox)
        }
        guard let request else { return }
        let body = "{\"batch\":\(request.batch)" + requestTail
        let message = Outgoing(subject: requestSubject, payload: Array(body.utf8))
        if case .written = session.send(message, reply: "\(inbox).\(request.id)") {
            let due = state.withLock { $0.ledger.overdue(heartbeat: heartbeat) }
            if let due { connection.deadlines.wake(by: due) }
        } else {
            // The connection is ending; the next session starts from zero.
            state.withLock { $0.ledger.unsent(request) }
        }
    }

    /// At most one request is queued at a time; it asks for all that is wanted when its turn comes.
    private func requestIfWanted() {
        let isNeeded = state.withLock { state in
            guard !state.isRequestQueued, !state.isClosed, state.attached != nil, state.ledger.wantsRequest(.now) else {
                return false
            }
            state.isRequestQueued = true
            return true
        }
        if isNeeded { connection.writer.enqueue(job: { self.request($0) }) }
    }

    private func queueRestart() {
        let isNeeded = state.withLock { state in
            guard !state.isRestartQueued, !state.isClosed else { return false }
            state.isRestartQueued = true
            return true
        }
        if isNeeded { connection.writer.enqueue(job: { self.subscribe($0) }) }
    }

    // MARK: - On the subscription's thread

    private func received(_ message: NATSMessage, epoch: Int, prefix: Int) {
        // What a stream stored has a reply, and may look like the server's own words for all else: they have none.
        if message.reply == nil, let code = message.status {
            status(message, code, epoch: epoch, prefix: prefix)
            return
        }
        if message.reply == nil, message.subject.dropFirst(prefix) == Self.infoToken {
            existence(message, epoch: epoch)
            return
        }
        guard var delivery = Delivery(message) else {
            trouble("Something that is no JetStream delivery came to a consumer's inbox; it is ignored.")
            return
        }
        delivery.epoch = epoch
        let (isStale, waiter, batch) = state.withLock { [delivery] state -> (Bool, Waiter?, [Delivery]) in
            guard epoch == state.epoch else { return (true, nil, []) }
            state.problem = nil
            state.ledger.received(.now)
            if state.closing != nil {
                state.ledger.dropBuffer()
                state.closing?.take(message.reply, .now)
                return (false, nil, [])
            }
            state.buffer.append(delivery)
            guard let waiter = state.waiter else { return (false, nil, []) }
            state.waiter = nil
            return (false, waiter, Self.take(waiter.max, &state))
        }
        if isStale { giveBack(message.reply) }
        waiter?.continuation.resume(returning: .success(batch))
        requestIfWanted()
        wakeForEnd()
    }

    private func status(_ message: NATSMessage, _ code: Int, epoch: Int, prefix: Int) {
        guard let id = UInt64(message.subject.dropFirst(prefix)) else { return }
        let pending = message.headers["Nats-Pending-Messages"].flatMap { Int($0) }
        let description = message.headers["Description"] ?? ""
        let (verdict, retryAt) = state.withLock { state -> (PullLedger.Verdict, ContinuousClock.Instant?) in
            guard epoch == state.epoch else { return (.fine, nil) }
            if code == 100 { state.problem = nil }
            let verdict = state.ledger.status(
                request: id, code: code, description: description, pending: pending, .now
            )
            if case .lost = verdict { state.restartAt = state.ledger.retryAt }
            return (verdict, state.ledger.retryAt)
        }
        switch verdict {
        case .fine: break
        case .ended: requestIfWanted()
        case .failed(let why): trouble("The consumer does not answer (\(why)); asking again.")
        case .lost(let why): trouble("The consumer's requests were dropped (\(why)); asking again.")
        }
        if let retryAt { connection.deadlines.wake(by: retryAt) }
        wakeForEnd()
    }

    /// The answer to "does it exist?".
    private func existence(_ message: NATSMessage, epoch: Int) {
        do throws(NATSError) {
            let created = try JetStreamAnswer.checked(message)["created"]?.text
            state.withLock { state in
                guard let created, epoch == state.epoch else { return }
                if let known = state.created, known != created { state.bornIn = epoch }
                state.created = created
            }
        } catch {
            guard error.jetStreamCode != nil else { return }
            let retryAt = state.withLock { state -> ContinuousClock.Instant? in
                guard epoch == state.epoch else { return nil }
                state.ledger.lost(.now)
                state.restartAt = state.ledger.retryAt
                return state.restartAt
            }
            guard let retryAt else { return }
            connection.deadlines.wake(by: retryAt)
            trouble("There is nothing to pull from (\(error.message)); asking again.")
        }
    }

    // MARK: - Helpers

    private static let cancelled = NATSError(.cancelled, "The caller was cancelled while it waited for messages.")

    private static func take(_ max: Int, _ state: inout State) -> [Delivery] {
        let count = min(max, state.buffer.count)
        var batch = Array(state.buffer.prefix(count))
        state.buffer.removeFirst(count)
        for index in batch.indices { batch[index].ticket = state.ledger.handOut() }
        return batch
    }

    private func cancelWaiter() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.continuation.resume(returning: .failure(Self.cancelled))
    }

    /// Another consumer may have it at once, instead of after the acknowledgement's deadline.
    func giveBack(_ reply: String?) {
        guard let reply else { return }
        do throws(NATSError) {
            try connection.writer.enqueue([Outgoing(subject: reply, payload: Array("-NAK".utf8))])
        } catch {
            // The server redelivers it by itself once its acknowledgement is overdue.
            connection.logger.debug("A message was not handed back", metadata: ["error": "\(error)"])
        }
    }

    private func trouble(_ what: String) {
        let error = NATSError(.jetStream, "Consumer '\(consumer)' of stream '\(stream)': \(what)")
        let count = state.withLock { state in
            state.problem = error
            state.problemCount += 1
            return state.problemCount
        }
        reports.yield(error)
        // Doubling distances keep the log short during a long outage.
        guard count & (count - 1) == 0 else { return }
        connection.logger.warning(
            "A NATS consumer has a problem", metadata: ["error": "\(error)", "count": "\(count)"]
        )
    }
}
