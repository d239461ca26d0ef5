package import Contracts
internal import Logging
package import NATS

extension MessageBus {
    /// Core NATS: every message of the channel from now on, to every subscriber. What cannot be read is counted,
    /// logged and passed over. A subscriber slower than `bufferCount` messages loses the overflow.
    package func subscribe<Message: WireMessage>(
        _ channel: Channel<Message>, bufferCount: Int = 1024
    ) throws(BusError) -> MessageSequence<Message> {
        MessageSequence(
            base: try subscribeRaw(pattern: channel.subject, bufferCount: bufferCount), counters: counters,
            logger: logger
        )
    }

    /// Core NATS without reading the bodies.
    package func subscribeRaw(_ subject: Subject, bufferCount: Int = 64) throws(BusError) -> NATSSubscription {
        try subscribeRaw(pattern: subject.text, bufferCount: bufferCount)
    }

    /// Core NATS: a channel's messages without reading their bodies, for who wants only a few of them.
    package func subscribeRaw<Message>(
        _ channel: Channel<Message>, bufferCount: Int
    ) throws(BusError) -> NATSSubscription {
        try subscribeRaw(pattern: channel.subject, bufferCount: bufferCount)
    }

    private func subscribeRaw(pattern: String, bufferCount: Int) throws(BusError) -> NATSSubscription {
        do {
            return try connection.subscribe(pattern, queue: nil, bufferCount: bufferCount)
        } catch {
            throw BusError(error, doing: "Subscribing to \(pattern)")
        }
    }
}

/// The messages of one core subscription.
package struct MessageSequence<Element: WireMessage>: AsyncSequence, Sendable {
    let base: NATSSubscription
    let counters: BusCounters
    let logger: Logger

    package func makeAsyncIterator() -> Iterator {
        Iterator(base: base.makeAsyncIterator(), counters: counters, logger: logger)
    }

    package struct Iterator: AsyncIteratorProtocol {
        var base: NATSSubscription.AsyncIterator
        let counters: BusCounters
        let logger: Logger

        package mutating func next() async -> Element? {
            while let message = await base.next(isolation: #isolation) {
                do throws(JSONError) {
                    return try Element(json: JSON(parsing: message.payload))
                } catch {
                    guard counters.isWorthLogging() else { continue }
                    logger.warning(
                        "passed over an unreadable message",
                        metadata: ["subject": "\(message.subject)", "error": "\(error)"]
                    )
                }
            }
            return nil
        }
    }
}
