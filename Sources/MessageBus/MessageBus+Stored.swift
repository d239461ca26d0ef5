internal import Contracts
internal import FoundationEssentials

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
            return try Message(json: JSON(parsing: Array(data)))
        } catch {
            throw BusError(.refused, "The message on \(channel.subject) could not be read.", underlying: error)
        }
    }
}
