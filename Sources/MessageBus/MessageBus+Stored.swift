internal import Contracts
package import FoundationEssentials

/// A message as its stream keeps it.
package struct StoredMessage: Sendable {
    package let subject: String
    package let payload: [UInt8]
    package let headers: [String: String]
    package let storedAt: Date?
}

extension MessageBus {
    /// The oldest message that a stream still holds on the channel's subject; nil when there is none.
    package func oldest<Message>(
        on channel: Channel<Message>, in stream: BusTopology.StreamName
    ) async throws(BusError) -> Message? {
        guard let answer = try await admin.oldest(of: channel.subject, in: stream) else { return nil }
        do throws(JSONError) {
            var reader = try JSONReader(answer)
            guard var message = try reader.optionalObject("message"),
                let data = Data(base64Encoded: try message.string("data"))
            else { throw reader.error("message", "must hold the message") }
            return try Message(payload: Array(data))
        } catch {
            throw BusError(.refused, "The message on \(channel.subject) could not be read.", underlying: error)
        }
    }

    /// What a stream keeps under a number; nil when it keeps nothing there (any more).
    package func stored(_ stream: String, sequence: UInt64) async throws(BusError) -> StoredMessage? {
        guard let answer = try await admin.message(stream, sequence: sequence) else { return nil }
        do throws(JSONError) {
            var reader = try JSONReader(answer)
            guard var message = try reader.optionalObject("message") else { return nil }
            return StoredMessage(
                subject: try message.string("subject"),
                payload: Self.bytes(try message.optionalString("data")),
                headers: Self.headers(Self.bytes(try message.optionalString("hdrs"))),
                storedAt: try message.optionalString("time").flatMap(Timestamp.date)
            )
        } catch {
            throw BusError(.refused, "JetStream showed a message of \(stream) unreadably.", underlying: error)
        }
    }

    /// Drops what a durable consumer has acknowledged, once the stream is more than half full: it would refuse new
    /// messages when full. For streams whose messages live on elsewhere.
    package func trim(behind consumer: BusTopology.Consumer) async throws(BusError) {
        guard let info = try await admin.consumer(consumer), let stream = try await admin.stream(consumer.stream),
            let floor = Self.number(info, "ack_floor", "stream_seq"), floor > 0,
            let bytes = Self.number(stream, "state", "bytes"), let most = Self.number(stream, "config", "max_bytes"),
            most > 0, bytes > most / 2
        else { return }
        try await admin.purge(consumer.stream, before: floor + 1)
    }

    private static func number(_ json: JSON, _ object: String, _ field: String) -> Int? {
        json.fields?.first { $0.name == object }?.value.fields?.first { $0.name == field }?.value.int
    }

    private static func bytes(_ base64: String?) -> [UInt8] {
        base64.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? []
    }

    /// Reads a block as NATS writes it: a first line `NATS/1.0`, then `Name: value` lines.
    static func headers(_ block: [UInt8]) -> [String: String] {
        var headers: [String: String] = [:]
        for line in String(decoding: block, as: UTF8.self).split(whereSeparator: \.isNewline).dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[String(line[..<colon])] = String(value)
        }
        return headers
    }
}
