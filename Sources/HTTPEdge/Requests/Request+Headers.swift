internal import HTTPTypes
package import Hummingbird

extension HTTPField.Name {
    package static let idempotencyKey = field("Idempotency-Key")
    package static let idempotentReplayed = field("Idempotent-Replayed")
    package static let lastEventID = field("Last-Event-ID")
    package static let requestID = field("X-Request-Id")
    package static let traceparent = field("traceparent")
    static let xForwardedFor = field("X-Forwarded-For")
    package static let rateLimit = field("RateLimit")
    package static let rateLimitPolicy = field("RateLimit-Policy")
    package static let rateLimitMode = field("RateLimit-Mode")

    private static func field(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is not a header's name.") }
        return name
    }
}

extension Request {
    package static let idempotencyKeyBytesMax = 255
    package static let requestIDBytesMax = 128

    /// The `Idempotency-Key` header: 1 to 255 visible ASCII characters; nil when it was not sent.
    /// - Throws: 400 otherwise, also when it was sent twice.
    package func idempotencyKey() throws(Problem) -> String? {
        let values = headers[values: .idempotencyKey]
        guard let value = values.first else { return nil }
        guard values.count == 1, Self.isVisible(value, bytesMax: Self.idempotencyKeyBytesMax) else {
            throw Self.invalid(
                .idempotencyKey, "must be 1 to \(Self.idempotencyKeyBytesMax) visible ASCII characters, sent once")
        }
        return value
    }

    /// The version in `If-Match`, as an ETag gave it: `"3"`; 0 for what must not exist yet. Nil when it is `*`.
    /// - Throws: 428 when it was not sent, 400 for anything else.
    package func requiredVersion() throws(Problem) -> Int? {
        guard headers[.ifMatch] != nil else {
            throw Problem(
                .preconditionRequired,
                "Send If-Match with the version you have seen (the ETag), so that nobody else's change is undone."
            )
        }
        return try expectedVersion()
    }

    /// The same, but nil too when it was not sent.
    /// - Throws: 400 for anything that is no version.
    package func expectedVersion(max: Int = Int(Int32.max)) throws(Problem) -> Int? {
        try expectedVersion("one version, such as \"3\"") { text in
            Int(text).flatMap { (0...max).contains($0) ? $0 : nil }
        }
    }

    /// A version of another form in `If-Match`; nil when it is `*` or was not sent.
    /// - Parameters:
    ///   - what: what it must be, for the refusal.
    ///   - read: gets it without its quotes; nil for what is no version.
    /// - Throws: 400 for anything that is no version.
    package func expectedVersion<Version>(
        _ what: String, _ read: (Substring) -> Version?
    ) throws(Problem) -> Version? {
        let values = headers[values: .ifMatch]
        guard let value = values.first, value != "*" else { return nil }
        let text = value.hasPrefix("\"") && value.hasSuffix("\"") ? value.dropFirst().dropLast() : value[...]
        guard values.count == 1, let version = read(text) else { throw Self.invalid(.ifMatch, "must be \(what)") }
        return version
    }

    /// The number of the last event the client of an event stream has: `Last-Event-ID`; nil when it was not sent.
    /// - Throws: 400 when it is not a number from 0.
    package func lastEventID() throws(Problem) -> Int? {
        guard let text = headers[.lastEventID], !text.isEmpty else { return nil }
        guard let id = Int(text), id >= 0 else {
            throw Self.invalid(.lastEventID, "must be a number from 0")
        }
        return id
    }

    private static func invalid(_ header: HTTPField.Name, _ message: String) -> Problem {
        let name = header.rawName
        return Problem(
            .invalidHeader, "\(name) \(message).", errors: [Problem.FieldError(field: name, message: message)])
    }

    /// The caller's `X-Request-Id` when it is harmless to log, else nil.
    var callersRequestID: String? {
        headers[.requestID].flatMap { Self.isVisible($0, bytesMax: Self.requestIDBytesMax) ? $0 : nil }
    }

    /// True when the client would rather have a stream of events than one JSON document.
    package var prefersEventStream: Bool {
        let stream = quality(of: "text/event-stream", group: "text/*")
        return stream > 0 && stream >= quality(of: "application/json", group: "application/*")
    }

    /// The weight `Accept` gives a media type (RFC 9110, section 12.5.1), 0 when it does not name it.
    private func quality(of type: String, group: String) -> Double {
        var quality = 0.0
        for value in headers[values: .accept] {
            for range in value.split(separator: ",") {
                let parts = range.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
                guard let name = parts.first, name == type || name == group else { continue }
                let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
                quality = max(quality, weight)
            }
        }
        return quality
    }

    private static func isVisible(_ text: String, bytesMax: Int) -> Bool {
        (1...bytesMax).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
