/// Reads JetStream's answers: an acknowledgement, or `{"error":{"code":…,"err_code":…,"description":…}}`.
enum JetStreamAnswer {
    /// - Throws: `jetStream` when the server refused, `library` when the answer is unreadable.
    static func acknowledgement(_ message: NATSMessage) throws(NATSError) -> StreamAck {
        if let ack = StreamAck(plain: message.payload) { return ack }
        let value = try checked(message)
        guard let stream = value["stream"]?.text, let sequence = value["seq"]?.integer else {
            throw NATSError(
                .library, "What answered a publish was no stream's acknowledgement; is '\(message.subject)' shared?"
            )
        }
        return StreamAck(stream: stream, sequence: sequence, duplicate: value["duplicate"]?.isTrue ?? false)
    }

    /// The answer as JSON, unless it is an error.
    static func checked(_ message: NATSMessage) throws(NATSError) -> JSONValue {
        guard let value = JSONValue(message.payload) else {
            throw NATSError(.library, "JetStream's answer is no JSON (\(message.payload.count) bytes).")
        }
        guard let error = value["error"] else { return value }
        throw NATSError(
            .jetStream,
            "JetStream refused: \(error["description"]?.text ?? "no reason given") (\(error["code"]?.integer ?? 0)).",
            jetStreamCode: error["err_code"]?.integer.map { Int(clamping: $0) },
            jetStreamStatus: error["code"]?.integer.map { Int(clamping: $0) }
        )
    }
}

extension StreamAck {
    private static let opening = Array(#"{"stream":""#.utf8)
    private static let counting = Array(#""seq":"#.utf8)

    /// Reads what a server says of a message that it stored, `{"stream":"WORK", "seq":7}`, and nothing else: nil for
    /// whatever says more, or says it in another way.
    init?(plain bytes: [UInt8]) {
        guard bytes.starts(with: Self.opening), bytes.last == UInt8(ascii: "}"),
            let nameEnd = bytes[Self.opening.count...].firstIndex(of: UInt8(ascii: "\"")),
            !bytes[..<nameEnd].contains(UInt8(ascii: "\\"))
        else { return nil }
        let rest = bytes[(nameEnd + 1)...].drop { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") }
        guard rest.starts(with: Self.counting) else { return nil }
        let digits = rest.dropFirst(Self.counting.count).dropLast()
        // Nineteen digits fit.
        guard (1...19).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.init(
            stream: String(decoding: bytes[Self.opening.count..<nameEnd], as: UTF8.self),
            sequence: digits.reduce(0) { $0 * 10 + UInt64($1 - 0x30) }, duplicate: false)
    }
}
