internal import Bootstrap
internal import Contracts
internal import DLQWorkerCore
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Files what consumers that are not ours have given up on: the server says so when a message was delivered as often as
/// its consumer allows. The message itself is read from its stream, where it still lies.
final class AdvisoryIntake: Service {
    static let batchMax = 64
    static let reason = "max_deliveries"

    private let bus: MessageBus
    private let store: DeadLetterStore
    private let instruments: DLQInstruments
    private let logger: Logger

    init(bus: MessageBus, store: DeadLetterStore, instruments: DLQInstruments, logger: Logger) {
        self.bus = bus
        self.store = store
        self.instruments = instruments
        self.logger = logger
    }

    /// What the server says (`io.nats.jetstream.advisory.v1.max_deliver`).
    struct Advisory: Sendable, Equatable {
        private static let nameBytesMax = 255

        let stream: String
        let consumer: String
        let sequence: Int
        let deliveries: Int

        /// Nil for what is no such advisory.
        init?(_ bytes: [UInt8]) {
            do throws(JSONError) {
                var body = try JSONReader(JSON(parsing: bytes))
                stream = try body.string("stream")
                consumer = try body.string("consumer")
                sequence = try body.int("stream_seq")
                deliveries = try body.int("deliveries")
            } catch {
                return nil
            }
            guard [stream, consumer].allSatisfy(Self.isName), sequence > 0 else { return nil }
        }

        /// As the server lets streams and consumers be called.
        private static func isName(_ text: String) -> Bool {
            text.utf8.count <= nameBytesMax && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
                && !text.contains { ".*>".contains($0) }
        }
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.deliveriesExhausted, as: BusTopology.advisoryFiler, batchMax: Self.batchMax) {
                try await self.file($0)
            }
        }
    }

    private func file(_ batch: [Received<RawPayload>]) async throws -> [Settlement] {
        var letters: [FiledLetter] = []
        for received in batch {
            guard let advisory = Advisory(received.message.bytes) else { continue }
            let stored = try await bus.stored(advisory.stream, sequence: UInt64(advisory.sequence))
            letters.append(Self.letter(advisory, stored))
        }
        let new = Set(try await store.file(letters))
        for letter in letters where new.contains(letter.messageID) {
            instruments.filed(letter)
            logger.warning(
                "filed a message that its consumer gave up on",
                metadata: ["subject": "\(letter.subject)", "consumer": "\(letter.consumer ?? "-")"]
            )
        }
        return batch.map { _ in .acknowledge }
    }

    static func letter(_ advisory: Advisory, _ stored: StoredMessage?) -> FiledLetter {
        let subject = stored?.subject ?? "\(advisory.stream).unknown"
        let error = stored == nil ? "Its stream does not keep the message any more." : "Delivered as often as allowed."
        // The number alone would name another message once the stream was wiped.
        let time = stored?.storedAt.map { ":" + Timestamp.text($0) } ?? ""
        return FiledLetter(
            messageID: "max:\(advisory.stream):\(advisory.consumer):\(advisory.sequence)\(time)", subject: subject,
            family: DeadLetterCause.family(of: subject), fingerprint: advisory.consumer,
            payload: stored?.payload ?? [], headers: Storable.headers(stored?.headers ?? [:]),
            tenant: stored?.headers[MessageHeader.tenant].flatMap { TenantID($0) },
            task: Subject.task(of: subject), reason: reason, error: error,
            errorCount: Storable.count(advisory.deliveries), stream: advisory.stream,
            streamSequence: advisory.sequence, consumer: advisory.consumer, firstSeen: stored?.storedAt, lastSeen: nil
        )
    }
}
