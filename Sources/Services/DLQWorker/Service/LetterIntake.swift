internal import Bootstrap
internal import Contracts
internal import DLQWorkerCore
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Files what our own consumers gave up on. A letter is acknowledged once it is in Postgres; one that comes again
/// changes nothing.
final class LetterIntake: Service {
    static let batchMax = 128

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

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.allDeadLetters, as: BusTopology.deadLetterFiler, batchMax: Self.batchMax) {
                try await self.file($0)
            }
        }
    }

    private func file(_ batch: [Received<RawPayload>]) async throws -> [Settlement] {
        let letters = batch.map(Self.letter)
        let new = Set(try await store.file(letters))
        for (letter, received) in zip(letters, batch) where new.contains(letter.messageID) {
            instruments.filed(letter)
            logger.warning(
                "filed a dead letter",
                metadata: [
                    "subject": "\(letter.subject)", "reason": "\(letter.reason)", "error": "\(letter.error ?? "")",
                    "tenant": "\(letter.tenant?.text ?? "-")", "task_id": "\(letter.task?.description ?? "-")",
                    "trace_id": "\(TraceContext.id(of: received.traceparent))",
                ]
            )
        }
        return batch.map { _ in .acknowledge }
    }

    static func letter(_ received: Received<RawPayload>) -> FiledLetter {
        let headers = received.headers
        let subject = Self.subject(of: received)
        let error = headers[MessageHeader.error].map(Storable.text)
        // Whoever published without an id is told apart by the stream's number and time.
        let number = "dlq:DLQ:\(received.sequence):\(Timestamp.text(received.storedAt))"
        return FiledLetter(
            messageID: received.messageID.flatMap(Storable.id) ?? number, subject: subject,
            family: DeadLetterCause.family(of: subject), fingerprint: DeadLetterCause.fingerprint(of: error ?? ""),
            payload: received.message.bytes, headers: Storable.headers(headers), tenant: received.tenant,
            task: Subject.task(of: subject) ?? ReplayRules.task(in: received.message.bytes),
            reason: Storable.text(headers[MessageHeader.reason] ?? "unknown"), error: error,
            errorCount: Storable.count(headers[MessageHeader.attempts].flatMap { Int($0) } ?? 1),
            stream: headers[MessageHeader.stream].map(Storable.text),
            streamSequence: headers[MessageHeader.sequence].flatMap { Int($0) },
            consumer: headers[MessageHeader.consumer].map(Storable.text),
            firstSeen: headers[MessageHeader.firstSeen].flatMap(Timestamp.date) ?? received.storedAt,
            lastSeen: headers[MessageHeader.lastSeen].flatMap(Timestamp.date) ?? received.storedAt
        )
    }

    /// Where the message was meant to go.
    private static func subject(of received: Received<RawPayload>) -> String {
        if received.subject == Subject.renamedDeadLetter.text,
            let original = received.headers[MessageHeader.originalSubject]
        {
            return String(decoding: Storable.text(original).utf8.prefix(Subject.originalBytesMax), as: UTF8.self)
        }
        return Subject.original(ofDeadLetter: received.subject) ?? received.subject
    }
}

/// What strangers wrote, made fit for its column: one letter that is not would keep all beside it from being filed.
enum Storable {
    static let textBytesMax = 4096
    static let headersMax = 64
    /// Of an id, which stands in an index.
    static let idBytesMax = 512

    /// The nearest count that there can be.
    static func count(_ number: Int) -> Int { max(0, Int(Int32(clamping: number))) }

    /// Nil for what is too long.
    static func id(_ text: String) -> String? { text.utf8.count <= idBytesMax ? text : nil }

    /// Without NUL, and bounded.
    static func text(_ text: String) -> String {
        let clean = text.contains("\0") ? text.replacing("\0", with: "�") : text
        return clean.utf8.count <= textBytesMax
            ? clean : String(decoding: clean.utf8.prefix(textBytesMax), as: UTF8.self)
    }

    static func headers(_ headers: [String: String]) -> [String: String] {
        var kept: [String: String] = [:]
        for (name, value) in headers.sorted(by: { $0.key < $1.key }).prefix(headersMax) {
            kept[text(name)] = text(value)
        }
        return kept
    }
}
