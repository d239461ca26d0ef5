/// One message from a pull consumer, to be acknowledged, rejected or terminated.
package struct Delivery: Sendable {
    package let message: NATSMessage
    package let stream: String
    package let consumer: String
    package let streamSequence: UInt64
    package let consumerSequence: UInt64
    /// 1 for the first delivery.
    package let deliveryCount: UInt64
    /// Messages of the consumer still to come after this one.
    package let pending: UInt64
    /// When the stream stored it, in nanoseconds since 1970.
    package let timestampNanoseconds: Int64
    /// Which credit of which pull consumer it holds; 0 for none.
    var ticket: UInt64 = 0
    /// Under which subscription of the pull consumer it came.
    var epoch = 0

    /// Reads the reply subject: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`,
    /// or the longer form with `<domain>.<account hash>` after `ACK` and a random token at the end (ADR-15).
    /// nil when it is no JetStream delivery.
    package init?(_ message: NATSMessage) {
        guard let reply = message.reply else { return nil }
        let tokens = reply.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let first: Int
        switch tokens.count {
        case 9: first = 2
        case 12...: first = 4
        default: return nil
        }
        let numbers = tokens[(first + 2)..<(first + 7)].compactMap { UInt64(Substring($0)) }
        guard tokens[0].elementsEqual("$JS".utf8), tokens[1].elementsEqual("ACK".utf8), numbers.count == 5 else {
            return nil
        }
        self.message = message
        self.stream = String(Substring(tokens[first]))
        self.consumer = String(Substring(tokens[first + 1]))
        self.streamSequence = numbers[1]
        self.consumerSequence = numbers[2]
        self.deliveryCount = numbers[0]
        self.pending = numbers[4]
        self.timestampNanoseconds = Int64(clamping: numbers[3])
    }
}
