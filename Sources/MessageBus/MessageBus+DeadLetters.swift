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
    func giveUp(_ delivery: Delivery, on pull: PullConsumer, reason: String, error: String) async {
        let subject = Subject.deadLetter(delivery.message.subject).text
        // A stream that was wiped counts from 1 again, so the number alone would name another letter.
        let id = "dlq:\(delivery.stream):\(delivery.streamSequence):\(delivery.timestampNanoseconds)"
        var headers = deadLetterHeaders(delivery, reason: reason, error: error)
        let metadata: Logger.Metadata = [
            "id": "\(id)", "subject": "\(subject)", "reason": "\(reason)",
            "trace_id": "\(TraceContext.id(of: headers[MessageHeader.traceparent]))",
        ]
        do {
            do throws(BusError) {
                _ = try await store(subject, payload: delivery.message.payload, id: id, headers: headers, timeout: nil)
            } catch {
                guard error.code == .messageTooLarge else { throw error }
                // Its beginning and its story are worth more than a message that comes back for ever.
                let kept = Array(delivery.message.payload.prefix(max(0, payloadBytesMax - Self.headerBytesReserve)))
                headers[MessageHeader.wholeBytes] = String(delivery.message.payload.count)
                _ = try await store(subject, payload: kept, id: id, headers: headers, timeout: nil)
            }
            try pull.terminate(delivery)
            counters.change { $0.deadLettered += 1 }
            logger.warning("gave up on a message", metadata: metadata)
        } catch {
            logger.error(
                "could not store a dead letter; the message is kept and delivered again",
                metadata: metadata.merging(["error": "\(error)"]) { $1 }
            )
            settle("keeping a message") { () throws(NATSError) in try pull.reject(delivery, delay: Self.keepDelay) }
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

    private func deadLetterHeaders(_ delivery: Delivery, reason: String, error: String) -> [String: String] {
        var headers = delivery.message.headers.filter { !$0.key.hasPrefix("Nats-") }
        headers[MessageHeader.originalID] = delivery.message.headers[MessageHeader.messageID]
        headers[MessageHeader.reason] = Self.oneLine(reason)
        headers[MessageHeader.error] = Self.oneLine(error)
        headers[MessageHeader.attempts] = String(delivery.deliveryCount)
        headers[MessageHeader.stream] = delivery.stream
        headers[MessageHeader.sequence] = String(delivery.streamSequence)
        headers[MessageHeader.consumer] = delivery.consumer
        headers[MessageHeader.firstSeen] = Timestamp.text(delivery.storedAt)
        headers[MessageHeader.lastSeen] = Timestamp.text(Date())
        return headers
    }

    /// Header values are one line; what a sender wrote must not become a second header.
    static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if line.utf8.count >= errorBytesMax { break }
            line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
        }
        return line
    }
}
