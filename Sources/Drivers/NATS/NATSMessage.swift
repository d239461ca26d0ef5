/// A message as it came or goes. Of a header that occurs twice, the first value is kept.
package struct NATSMessage: Sendable, Equatable {
    package let subject: String
    package let reply: String?
    package let headers: [String: String]
    package let payload: [UInt8]

    package init(subject: String, reply: String? = nil, headers: [String: String] = [:], payload: [UInt8]) {
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.payload = payload
    }

    /// The server's status of an empty control message: 100 heartbeat, 404, 408, 409, 503 no responders. Anybody can
    /// write the like, so it counts only where no sender's message can be.
    var status: Int? {
        guard payload.isEmpty, let text = headers["Status"] else { return nil }
        return Int(text)
    }
}

/// A message for whichever stream captures its subject.
package struct StreamMessage: Sendable, Equatable {
    package let subject: String
    package var headers: [String: String]
    package let payload: [UInt8]
    /// What the stream deduplicates by.
    package let messageID: String?

    package init(subject: String, headers: [String: String] = [:], payload: [UInt8], messageID: String? = nil) {
        self.subject = subject
        self.headers = headers
        self.payload = payload
        self.messageID = messageID
        if let messageID { self.headers["Nats-Msg-Id"] = messageID }
    }
}

/// The server stored a message.
package struct StreamAck: Sendable, Equatable {
    package let stream: String
    package let sequence: UInt64
    /// True when a message with the same id was stored before; `sequence` is that one's.
    package let duplicate: Bool

    package init(stream: String, sequence: UInt64, duplicate: Bool) {
        self.stream = stream
        self.sequence = sequence
        self.duplicate = duplicate
    }
}

/// A message on its way to the writer thread.
///
/// Not a value, because it passes through several queues: a copy would be counted for each of its parts.
final class Outgoing: Sendable {
    let subject: String
    let headers: [String: String]
    let payload: [UInt8]
    /// What the server counts against its payload limit.
    let sizeBytes: Int
    /// The pending call that waits for an answer in the session's own inbox; it is not sent any more once that call has
    /// ended.
    let call: UInt64?

    init(subject: String, headers: [String: String] = [:], payload: [UInt8], call: UInt64? = nil) {
        self.subject = subject
        self.headers = headers
        self.payload = payload
        self.call = call
        // "NATS/1.0\r\n", one "key: value\r\n" each, and an empty line.
        let headerBytes = headers.reduce(12) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
        sizeBytes = payload.count + (headers.isEmpty ? 0 : headerBytes)
    }
}
