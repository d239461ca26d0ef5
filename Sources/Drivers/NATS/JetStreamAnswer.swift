/// Reads JetStream's answers: an acknowledgement, or `{"error":{"code":…,"err_code":…,"description":…}}`.
enum JetStreamAnswer {
    /// - Throws: `jetStream` when the server refused, `library` when the answer is unreadable.
    static func acknowledgement(_ message: NATSMessage) throws(NATSError) -> StreamAck {
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
            jetStreamCode: error["err_code"]?.integer.map { Int(clamping: $0) }
        )
    }
}
