internal import Logging
internal import Synchronization

/// The messages of one subject, as a sequence for one reader; it ends with `cancel`, with its task or at shutdown.
///
/// It survives reconnects; what is published while disconnected is missed, as always with core NATS. A reader slower
/// than the buffer misses the newest messages, and `droppedCount` counts them.
package final class NATSSubscription: AsyncSequence, SessionAttachment {
    package typealias Element = NATSMessage
    package typealias AsyncIterator = AsyncStream<NATSMessage>.Iterator

    /// Messages on their way from the socket to the buffer.
    private static let transitMax = 8192

    private struct State {
        var id: Int?
        var attached: (session: Session, subscription: Int)?
        var bufferDropped = 0
        /// Dropped inside the library, in ended sessions and in the present one.
        var libraryDroppedBefore = 0
        var libraryDropped = 0
        var isEnded = false
    }

    private let connection: NATSConnection
    private let subject: String
    private let queue: String?
    private let stream: AsyncStream<NATSMessage>
    private let continuation: AsyncStream<NATSMessage>.Continuation
    private let state = Mutex(State())

    init(_ connection: NATSConnection, subject: String, queue: String?, bufferCount: Int) {
        self.connection = connection
        self.subject = subject
        self.queue = queue
        (stream, continuation) = AsyncStream.makeStream(
            of: NATSMessage.self, bufferingPolicy: .bufferingOldest(Swift.max(1, bufferCount))
        )
        continuation.onTermination = { [weak self] _ in self?.cancel() }
    }

    package func makeAsyncIterator() -> AsyncIterator { stream.makeAsyncIterator() }

    /// Messages lost because the reader was too slow.
    package var droppedCount: Int {
        state.withLock { $0.bufferDropped + $0.libraryDroppedBefore + $0.libraryDropped }
    }

    /// Unsubscribes and ends the sequence. What is buffered can still be read. Idempotent.
    package func cancel() {
        let (id, attached) = state.withLock { state in
            state.isEnded = true
            defer { (state.id, state.attached) = (nil, nil) }
            return (state.id, state.attached)
        }
        if let id { connection.detach(id) }
        if let attached { connection.retire(attached.subscription, in: attached.session) }
        continuation.finish()
    }

    func registered(as id: Int) {
        let isEnded = state.withLock { state in
            if !state.isEnded { state.id = id }
            return state.isEnded
        }
        if isEnded { connection.detach(id) }
    }

    func attach(to session: Session) {
        guard state.withLock({ !$0.isEnded && $0.attached?.session.number != session.number }) else { return }
        do throws(NATSError) {
            let subscription = try session.subscribe(subject, queue: queue, pendingMax: Self.transitMax) {
                [weak self] message, dropped in
                self?.received(message, libraryDropped: dropped)
            }
            let isEnded = state.withLock { state in
                if !state.isEnded { state.attached = (session, subscription) }
                return state.isEnded
            }
            if isEnded { session.unsubscribe(subscription) }
        } catch {
            // The connection broke meanwhile; the next session attaches again.
            connection.logger.warning(
                "A NATS subscription could not be made", metadata: ["subject": "\(subject)", "error": "\(error)"]
            )
        }
    }

    func sessionLost(_ number: Int) {
        state.withLock { state in
            guard state.attached?.session.number == number else { return }
            state.attached = nil
            state.libraryDroppedBefore += state.libraryDropped
            state.libraryDropped = 0
        }
    }

    func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? { nil }

    func connectionCloses() { cancel() }

    private func received(_ message: NATSMessage, libraryDropped: Int) {
        var wasDropped = false
        if case .dropped = continuation.yield(message) { wasDropped = true }
        state.withLock { state in
            state.libraryDropped = libraryDropped
            if wasDropped { state.bufferDropped += 1 }
        }
    }
}

extension NATSConnection {
    /// Subscribes; the messages are read from the returned sequence. Never blocks: the subscription is made by the
    /// writer thread, before anything published later, and again in every new session.
    ///
    /// - Parameters:
    ///   - subject: may hold wildcards.
    ///   - queue: members of one queue group share the messages.
    ///   - bufferCount: messages kept for a slow reader; more are dropped and counted.
    /// - Throws: `invalidSubject`, `closed`.
    package func subscribe(
        _ subject: String, queue: String? = nil, bufferCount: Int = 1024
    ) throws(NATSError) -> NATSSubscription {
        try WireNames.checkSubject(subject, allowsWildcards: true)
        if let queue { try WireNames.checkName(queue, "Queue group") }
        let subscription = NATSSubscription(self, subject: subject, queue: queue, bufferCount: bufferCount)
        guard let id = register(subscription) else { throw CallLedger.closed }
        subscription.registered(as: id)
        return subscription
    }

    /// Unsubscribes, on the writer thread and only if that session still lives.
    func retire(_ subscription: Int, in session: Session) {
        writer.enqueue { current in
            if current.number == session.number { session.unsubscribe(subscription) }
        }
    }
}
