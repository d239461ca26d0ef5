package import Bootstrap
package import Contracts
package import FoundationEssentials
internal import NATS

/// A message as a consumer hands it out, with what the wire knows about it.
package struct Received<Message: BusPayload>: Sendable {
    package let message: Message
    let delivery: Delivery
    /// The work on it, once that has begun: what comes of the message hangs on it.
    package private(set) var span: OpenSpan?

    init(message: Message, delivery: Delivery) {
        self.message = message
        self.delivery = delivery
    }

    /// The same message, being worked on.
    package func working(_ tracer: Tracer) -> Received {
        var received = self
        received.span = tracer.begin(below: traceparent)
        return received
    }

    package var subject: String { delivery.message.subject }
    /// The bytes the message was read from.
    package var payload: [UInt8] { delivery.message.payload }
    /// The stream's number of the message.
    package var sequence: UInt64 { delivery.streamSequence }
    /// 1 for the first delivery.
    package var deliveryCount: Int { Int(clamping: delivery.deliveryCount) }
    /// When the stream stored it.
    package var storedAt: Date { delivery.storedAt }
    package var headers: [String: String] { delivery.message.headers }
    package var messageID: String? { delivery.message.headers[MessageHeader.messageID] }
    /// Of the work on it, or of its publishing.
    package var traceparent: String? { span?.traceparent ?? delivery.message.headers[MessageHeader.traceparent] }
    package var tenant: TenantID? { delivery.message.headers[MessageHeader.tenant].flatMap { TenantID($0) } }
}

/// What a handler decided about one message.
package enum Settlement: Sendable, Equatable {
    case acknowledge
    /// Deliver it again, not before `after`. The fifth time that a process says so of it, it is a dead letter with that
    /// `error`.
    case retry(after: Duration, error: String = "the handler could not process it")
    /// Deliver it again, not before that, however often it was: what stands in its way is not the message.
    case wait(Duration)
    /// Dead-letter it now. `reason` is a stable word, `error` one line for people.
    case giveUp(reason: String, error: String)
}

extension Delivery {
    var storedAt: Date { Date(timeIntervalSince1970: Double(timestampNanoseconds) / 1e9) }

    /// The message itself, read as `Message`, or why it cannot be.
    func decode<Message: BusPayload>(_: Message.Type) -> Result<Received<Message>, JSONError> {
        do throws(JSONError) {
            return .success(Received(message: try Message(payload: message.payload), delivery: self))
        } catch {
            return .failure(error)
        }
    }
}
