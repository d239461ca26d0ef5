extension PullConsumer {
    /// Done: the server forgets it. Never blocks; an acknowledgement lost with a connection means a redelivery.
    ///
    /// - Throws: `backlogFull`, `closed`. The credit is free all the same.
    package func acknowledge(_ delivery: Delivery) throws(NATSError) {
        try acknowledge([delivery])
    }

    package func acknowledge(_ deliveries: [Delivery]) throws(NATSError) {
        defer { settle(deliveries) }
        try send("+ACK", to: deliveries)
    }

    /// Not done: deliver it again after `delay` (nil: at once).
    ///
    /// - Throws: `backlogFull`, `closed`. The server redelivers then when its acknowledgement is overdue.
    package func reject(_ delivery: Delivery, delay: Duration? = nil) throws(NATSError) {
        defer { settle([delivery]) }
        let wait = delay.map { max(0, $0.wholeNanoseconds) } ?? 0
        try send(wait > 0 ? "-NAK {\"delay\":\(wait)}" : "-NAK", to: [delivery])
    }

    /// Never deliver it again.
    ///
    /// - Throws: `backlogFull`, `closed`.
    package func terminate(_ delivery: Delivery) throws(NATSError) {
        defer { settle([delivery]) }
        try send("+TERM", to: [delivery])
    }

    /// Still at work: its acknowledgement's deadline starts anew. The credit stays held.
    ///
    /// - Throws: `backlogFull`, `closed`.
    package func extend(_ delivery: Delivery) throws(NATSError) {
        try send("+WPI", to: [delivery])
    }

    /// Frees the credit without a word to the server, which redelivers it when its acknowledgement is overdue.
    package func abandon(_ delivery: Delivery) {
        settle([delivery])
    }

    /// Acknowledges and waits until the server has taken note.
    ///
    /// - Throws: `timeout`, `disconnected`, `noResponders`, `cancelled`, `backlogFull`, `closed`, and `jetStream` when
    ///   the consumer is another by now: it may be delivered again. The credit is free in any case.
    package func acknowledgeConfirmed(_ delivery: Delivery, timeout: Duration? = nil) async throws(NATSError) {
        defer { settle([delivery]) }
        try await confirm("+ACK", to: delivery, timeout: timeout)
    }
}

/// How a pull consumer asks.
struct PullOptions {
    /// Subject, reply and headers come on top of the payload when the server counts `max_bytes`.
    static let headroomBytes = 8192

    let capacity: Int
    let maxBytes: Int
    let idleHeartbeat: Duration
    let requestExpires: Duration
    let holdCreditsUntilSettled: Bool
}

extension NATSConnection {
    /// Pulls from a durable consumer. It need not exist yet: the consumer asks again until it does.
    ///
    /// - Parameters:
    ///   - capacity: the most messages asked for and buffered, and, when held, handed out and not yet settled.
    ///   - maxBytes: the most bytes one request may bring; raised to the server's largest message. Without holding, two
    ///     requests may be open.
    ///   - idleHeartbeat: how often the server shows that it still knows an unanswered request; two missed ones mean
    ///     that it does not.
    ///   - requestExpires: when the server forgets an unanswered request; it is asked again then.
    ///   - holdCreditsUntilSettled: a delivery keeps its credit until it is acknowledged, rejected or terminated.
    /// - Throws: `invalidSubject`, `closed`.
    package func pullConsumer(
        stream: String, consumer: String, capacity: Int, maxBytes: Int = 4 << 20,
        idleHeartbeat: Duration = .seconds(5), requestExpires: Duration = .seconds(30),
        holdCreditsUntilSettled: Bool = false
    ) throws(NATSError) -> PullConsumer {
        try WireNames.checkName(stream, "Stream")
        try WireNames.checkName(consumer, "Consumer")
        let options = PullOptions(
            capacity: capacity, maxBytes: maxBytes, idleHeartbeat: idleHeartbeat, requestExpires: requestExpires,
            holdCreditsUntilSettled: holdCreditsUntilSettled
        )
        let pull = PullConsumer(self, stream: stream, consumer: consumer, options: options)
        guard let id = register(pull) else { throw CallLedger.closed }
        pull.registered(as: id)
        return pull
    }
}
