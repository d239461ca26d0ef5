internal import Contracts
internal import NATS

/// The server's administration API, as far as the topology needs it. Its subjects are the server's, not ours.
struct JetStreamAdmin: Sendable {
    let connection: NATSConnection
    /// For one call.
    static let timeout: Duration = .seconds(5)

    /// The answer to `STREAM.INFO`; nil when there is no such stream.
    func stream(_ name: BusTopology.StreamName) async throws(BusError) -> JSON? {
        try await call("STREAM.INFO.\(name.rawValue)", .emptyObject)
    }

    func create(_ stream: BusTopology.Stream, _ configuration: BusConfiguration) async throws(BusError) -> JSON {
        try await must("STREAM.CREATE.\(stream.name.rawValue)", stream.settings(configuration).wanted)
    }

    func update(_ stream: BusTopology.Stream, to settings: JSON) async throws(BusError) -> JSON {
        try await must("STREAM.UPDATE.\(stream.name.rawValue)", settings)
    }

    /// The answer to `CONSUMER.INFO`; nil when the consumer, or its stream, does not exist.
    func consumer(_ consumer: BusTopology.Consumer) async throws(BusError) -> JSON? {
        try await call("CONSUMER.INFO.\(consumer.stream.rawValue).\(consumer.name)", .emptyObject)
    }

    /// One page of the answers to `CONSUMER.INFO` of all consumers of a stream; nil when the stream does not exist.
    func consumers(of stream: BusTopology.StreamName, from offset: Int) async throws(BusError) -> JSON? {
        try await call("CONSUMER.LIST.\(stream.rawValue)", JSONWriter.object { $0.field("offset", offset) })
    }

    /// Makes the durable, or changes the one that exists. Nil when its stream does not exist.
    func put(_ consumer: BusTopology.Consumer, settings: JSON) async throws(BusError) -> JSON? {
        let body = JSONWriter.object {
            $0.field("stream_name", consumer.stream.rawValue)
            $0.field("config", settings)
        }
        return try await call("CONSUMER.DURABLE.CREATE.\(consumer.stream.rawValue).\(consumer.name)", body)
    }

    /// The answer to `STREAM.INFO` with the number of messages of each subject, of which the server lists the first
    /// 100,000; nil when there is no such stream.
    func subjects(of stream: BusTopology.StreamName) async throws(BusError) -> JSON? {
        try await call("STREAM.INFO.\(stream.rawValue)", JSONWriter.object { $0.field("subjects_filter", ">") })
    }

    /// The answer to `STREAM.MSG.GET` for the oldest message of a subject, from a number on; nil when the stream holds
    /// none.
    func oldest(
        of subject: String, in stream: BusTopology.StreamName, from sequence: UInt64 = 1
    ) async throws(BusError) -> JSON? {
        let body = JSONWriter.object {
            $0.field("seq", Int(clamping: sequence))
            $0.field("next_by_subj", subject)
        }
        return try await call("STREAM.MSG.GET.\(stream.rawValue)", body)
    }

    /// The answer to `STREAM.MSG.GET`; nil when the stream or the message does not exist.
    func message(_ stream: String, sequence: UInt64) async throws(BusError) -> JSON? {
        try await call("STREAM.MSG.GET.\(stream)", JSONWriter.object { $0.field("seq", Int(clamping: sequence)) })
    }

    /// Removes one message, from consumers' hands too; nothing happens when it is gone already.
    func delete(_ sequence: UInt64, from stream: BusTopology.StreamName) async throws(BusError) {
        let body = JSONWriter.object {
            $0.field("seq", Int(clamping: sequence))
            $0.field("no_erase", true)
        }
        _ = try await call("STREAM.MSG.DELETE.\(stream.rawValue)", body)
    }

    /// Forgets everything before the number.
    func purge(_ stream: BusTopology.StreamName, before sequence: Int) async throws(BusError) {
        _ = try await must("STREAM.PURGE.\(stream.rawValue)", JSONWriter.object { $0.field("seq", sequence) })
    }

    private func must(_ verb: String, _ body: JSON) async throws(BusError) -> JSON {
        guard let answer = try await call(verb, body) else {
            throw BusError(.topologyMissing, "\(verb) found nothing to work on.")
        }
        return answer
    }

    private func call(_ verb: String, _ body: JSON) async throws(BusError) -> JSON? {
        let answer: NATSMessage
        do {
            answer = try await connection.request(
                "$JS.API.\(verb)", headers: [:], payload: Array(body.bytes), timeout: Self.timeout
            )
        } catch {
            guard error.code == .noResponders else { throw BusError(error, doing: "JetStream \(verb)") }
            // The API answers on every server that has JetStream on, so this is a start or a leader election.
            throw BusError(.unavailable, "JetStream does not answer \(verb). Is it enabled?", underlying: error)
        }
        return try Self.answer(answer.payload, to: verb)
    }

    /// Nil when the server says that the stream, the consumer or the message does not exist.
    static func answer(_ payload: [UInt8], to verb: String) throws(BusError) -> JSON? {
        do {
            let json = try JSON(parsing: payload)
            var reader = try JSONReader(json)
            guard var failure = try reader.optionalObject("error") else { return json }
            let number = try failure.optionalInt("err_code")
            let status = try failure.optionalInt("code")
            let text = try failure.optionalString("description") ?? "no description"
            switch number {
            case BusError.ServerCode.streamNotFound, BusError.ServerCode.consumerNotFound,
                BusError.ServerCode.messageNotFound, BusError.ServerCode.sequenceNotFound:
                return nil
            default:
                throw BusError(
                    BusError.code(forServer: number, status: status),
                    "JetStream refused \(verb): \(text) [\(number ?? 0)].")
            }
        } catch let error as BusError {
            throw error
        } catch {
            throw BusError(.refused, "JetStream answered \(verb) with something unreadable.", underlying: error)
        }
    }
}
