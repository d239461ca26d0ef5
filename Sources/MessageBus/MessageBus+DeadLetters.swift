internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import NATS

/// Why a consumer gave up, where the bus itself decides it.
enum GiveUpReason {
    static let undecodable = "undecodable"
    static let deliveriesExhausted = "deliveries_exhausted"
}

extension MessageBus {
    /// The longest error text kept on a dead letter.
    private static let errorBytesMax = 1024
    /// Left for the headers when a message is so large that it and its story pass the server's bound.
    private static let headerBytesReserve = 8 << 10
    /// Before a message that could not be dead-lettered is delivered again.
    private static let keepDelay: Duration = .seconds(5)

    /// Stores the message as a dead letter, and only then takes it off its stream. A message that could not be
    /// stored stays where it is and is delivered again.
    ///
    /// - Returns: Whether that was done.
    @discardableResult
    func giveUp(_ delivery: Delivery, on pull: PullConsumer, reason: String, error: String) async -> Bool {
        // A stream that was wiped counts from 1 again, so the number alone would name another letter.
        let id = "dlq:\(delivery.stream):\(delivery.streamSequence):\(delivery.timestampNanoseconds)"
        let metadata: Logger.Metadata = [
            "id": "\(id)", "subject": "\(Subject.deadLetter(delivery.message.subject))", "reason": "\(reason)",
            "trace_id": "\(TraceContext.id(of: delivery.message.headers[MessageHeader.traceparent]))",
        ]
        do {
            try await bury(delivery, id: id, story: story(of: delivery, reason: reason, error: error))
            try pull.terminate(delivery)
            counters.change { $0.deadLettered += 1 }
            logger.warning("gave up on a message", metadata: metadata)
            return true
        } catch {
            logger.error(
                "could not store a dead letter; the message is kept and delivered again",
                metadata: metadata.merging(["error": "\(error)"]) { $1 }
            )
            settle("keeping a message") { () throws(NATSError) in try pull.reject(delivery, delay: Self.keepDelay) }
            return false
        }
    }

    /// Stores all of a message if it can be, and else as much as can be: its beginning, its payload under another
    /// subject and without the sender's headers, or both. That is worth more than a message that comes back for ever.
    private func bury(_ delivery: Delivery, id: String, story: [String: String]) async throws(BusError) {
        let message = delivery.message
        var (isCut, isBare) = (false, false)
        while true {
            var headers = isBare ? Self.bareHeaders(of: message) : Self.ownHeaders(of: message)
            headers.merge(story) { $1 }
            var payload = message.payload
            if isCut { payload = Array(payload.prefix(max(0, payloadBytesMax - Self.headerBytesReserve))) }
            if payload.count < message.payload.count {
                headers[MessageHeader.wholeBytes] = String(message.payload.count)
            }
            let subject = isBare ? Subject.renamedDeadLetter : Subject.deadLetter(message.subject)
            do throws(BusError) {
                _ = try await store(subject.text, payload: payload, id: id, headers: headers, timeout: nil)
                return
            } catch {
                if error.code == .messageTooLarge, !isCut {
                    isCut = true
                } else if error.isOfTheMessage, !isBare {
                    isBare = true
                } else {
                    throw error
                }
            }
        }
    }

    /// Acknowledgements are not repeated: a lost one means a redelivery, which every handler must stand.
    func settle(_ what: StaticString, _ action: () throws(NATSError) -> Void) {
        do {
            try action()
        } catch {
            logger.info("an acknowledgement was not sent", metadata: ["while": "\(what)", "error": "\(error)"])
        }
    }

    private static func ownHeaders(of message: NATSMessage) -> [String: String] {
        message.headers.filter { !$0.key.hasPrefix("Nats-") }
    }

    /// What the sender's own headers leave on a letter that cannot have them: where it was meant to go, whose it is and
    /// to which trace it belongs.
    private static func bareHeaders(of message: NATSMessage) -> [String: String] {
        var headers = [
            MessageHeader.originalSubject: oneLine(message.subject, bytesMax: Subject.originalBytesMax)
        ]
        headers[MessageHeader.tenant] = message.headers[MessageHeader.tenant].flatMap { TenantID($0) }?.text
        headers[MessageHeader.traceparent] =
            message.headers[MessageHeader.traceparent].flatMap { TraceContext(traceparent: $0) }?.traceparent
        return headers
    }

    private func story(of delivery: Delivery, reason: String, error: String) -> [String: String] {
        var story = [
            MessageHeader.reason: Self.oneLine(reason), MessageHeader.error: Self.oneLine(error),
            MessageHeader.attempts: String(delivery.deliveryCount), MessageHeader.stream: delivery.stream,
            MessageHeader.sequence: String(delivery.streamSequence), MessageHeader.consumer: delivery.consumer,
            MessageHeader.firstSeen: Timestamp.text(delivery.storedAt),
            MessageHeader.lastSeen: Timestamp.text(Date()),
        ]
        story[MessageHeader.originalID] = delivery.message.headers[MessageHeader.messageID].map { Self.oneLine($0) }
        return story
    }

    /// Header values are one line; what a sender wrote must not become a second header.
    static func oneLine(_ text: String, bytesMax: Int = errorBytesMax) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if line.utf8.count >= bytesMax { break }
            line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
        }
        return line
    }
}
