/// The one error of the NATS driver.
///
/// `message` says what happened, what was kept, and what to do next. It never holds a secret.
package struct NATSError: Error, Sendable, CustomStringConvertible {
    /// Stable names, safe to log, count and match.
    package enum Code: String, Sendable, CaseIterable {
        /// No configured server could be reached in time.
        case connectFailed
        /// The server refused the credentials. Trying again with the same ones is pointless.
        case authenticationFailed
        /// The TLS handshake failed: wrong authority, wrong host name, or the server does not speak TLS.
        case tlsFailed
        /// A file or value of `NATSConfiguration` cannot be used.
        case invalidConfiguration
        /// No answer came in time. The request may have been carried out.
        case timeout
        /// Nobody listens on that subject; for a publish to a stream: no stream captures it.
        case noResponders
        /// The message is larger than the server allows. Nothing was sent.
        case payloadTooLarge
        /// There is no connection at the moment. A publish with this code was never sent.
        case disconnected
        /// The connection or the consumer was shut down.
        case closed
        /// The caller's task was cancelled before anything was sent.
        case cancelled
        /// A publish was sent and no acknowledgement came: it may be stored or not. Retry with the same message id.
        case outcomeUnknown
        /// A bounded queue of this process is full. Nothing was sent; slow down.
        case backlogFull
        /// A subscriber was too slow and messages were dropped.
        case slowConsumer
        /// The subject, queue, stream or consumer name is malformed. Nothing was sent.
        case invalidSubject
        /// A header name or value cannot be sent. Nothing was sent.
        case invalidHeader
        /// JetStream answered with an error; `jetStreamCode` and `jetStreamStatus` say which.
        case jetStream
        /// The C library reported something that has no better code here.
        case library
    }

    package let code: Code
    package let message: String
    /// JetStream's `err_code`, as listed in the server's `errors.json`; nil unless the server sent one.
    package let jetStreamCode: Int?
    /// JetStream's `code`, as in HTTP: 503 when the same request can succeed later; nil unless the server sent one.
    package let jetStreamStatus: Int?
    /// What the C library said, when it said something.
    package let underlying: (any Error)?

    package init(
        _ code: Code, _ message: String, jetStreamCode: Int? = nil, jetStreamStatus: Int? = nil,
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.jetStreamCode = jetStreamCode
        self.jetStreamStatus = jetStreamStatus
        self.underlying = underlying
    }

    package var description: String {
        var text = "\(code.rawValue): \(message)"
        if let jetStreamCode { text += " [JetStream \(jetStreamCode)]" }
        if let underlying { text += " (\(underlying))" }
        return text
    }
}

/// A status of the C library, kept as the cause of a `NATSError`.
package struct LibraryStatus: Error, Sendable, CustomStringConvertible {
    package let number: UInt32
    package let text: String

    package var description: String { "libnats status \(number): \(text)" }
}
