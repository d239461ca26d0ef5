/// The headers Golden puts on messages, and nowhere else: no other file holds a header name.
package enum MessageHeader {
    /// What JetStream deduplicates by.
    package static let messageID = "Nats-Msg-Id"
    /// W3C trace context.
    package static let traceparent = "traceparent"
    package static let tenant = "golden-tenant"
    /// Which replica sent this, so that it passes over its own.
    package static let replica = "golden-replica"

    // On dead letters.
    /// Why the consumer gave up: `undecodable`, `deliveries_exhausted`, or a word of the handler's.
    package static let reason = "Golden-Reason"
    /// The last error, one line.
    package static let error = "Golden-Error"
    /// How often the message was delivered.
    package static let attempts = "Golden-Attempts"
    package static let stream = "Golden-Stream"
    package static let sequence = "Golden-Sequence"
    package static let consumer = "Golden-Consumer"
    /// When the stream stored the message, as `Timestamp` writes it.
    package static let firstSeen = "Golden-First-Seen"
    /// When the consumer gave up.
    package static let lastSeen = "Golden-Last-Seen"
    /// The id under which the message was published, when it had one.
    package static let originalID = "Golden-Original-Id"
    /// How large the message was of which a letter holds the beginning only, because all of it and its story together
    /// were more than the server takes.
    package static let wholeBytes = "Golden-Whole-Bytes"
    /// On a letter that lies at `Subject.renamedDeadLetter`: the subject of the message, one line.
    package static let originalSubject = "Golden-Original-Subject"
    /// On a replayed message: the dead letter's id.
    package static let replayOf = "Golden-Replay-Of"

    /// Whether a header tells of a message's death, or is the server's: those are not sent again.
    package static func isStory(_ name: String) -> Bool { name.hasPrefix("Golden-") || name.hasPrefix("Nats-") }
}
