internal import Bootstrap
internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Opens sessions that are asked for and hands each seat's work to the agents of its role.
///
/// A request is acknowledged once its session is stored and all work is on its way; one that comes again finds the
/// session and sends the work of the seats that have not voted: under the same ids when it is the same message, under
/// new ones when it was sent anew because messages were lost; not at all when the work was sent after that.
final class RequestIntake: Service {
    /// Requests in hand at once.
    static let batchMax = 64
    /// Larger artifacts, of which each seat's work holds a copy, are handed out one after the other.
    static let smallBytesMax = 32 << 10

    private let bus: MessageBus
    private let store: ReviewStore
    private let handout: WorkHandout
    private let instruments: HubInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: ReviewStore, handout: WorkHandout, instruments: HubInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.handout = handout
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.reviewRequests, as: BusTopology.hubRequests, batchMax: Self.batchMax) {
                try await self.open($0)
            }
        }
    }

    private func open(_ batch: [Received<ReviewRequest>]) async throws -> [Settlement] {
        var settlements = [Settlement](repeating: .acknowledge, count: batch.count)
        try await withThrowingTaskGroup(of: (Int, Settlement).self) { group in
            for (index, received) in batch.enumerated() where Self.isSmall(received) {
                group.addTask { (index, try await self.open(received)) }
            }
            for try await (index, settlement) in group { settlements[index] = settlement }
        }
        for (index, received) in batch.enumerated() where !Self.isSmall(received) {
            settlements[index] = try await open(received)
        }
        return settlements
    }

    private static func isSmall(_ received: Received<ReviewRequest>) -> Bool {
        received.message.artifact.bytes.count <= smallBytesMax
    }

    private func open(_ received: Received<ReviewRequest>) async throws -> Settlement {
        let request = received.message
        guard Subject.session(of: received.subject) == request.session else {
            return .giveUp(reason: "wrong_subject", error: "The subject names another session than the message.")
        }
        guard let session = Self.session(request, traceparent: received.traceparent) else {
            return .giveUp(reason: "bad_artifact", error: "The artifact could not be hashed.")
        }
        switch try await store.open(session) {
        case .opened(let opened):
            instruments.sessionOpened()
            logger.info(
                "opened a review",
                metadata: [
                    "session_id": "\(opened.id)", "task_id": "\(opened.task)",
                    "trace_id": "\(TraceContext.id(of: opened.traceparent))", "round": "\(opened.round)",
                ]
            )
            try await handout.all(opened, request, received.messageID, except: [])
        case .exists(let known) where known.status == .open:
            guard try await isNewsFor(known, received) else { break }
            let votes = try await store.votes(in: [known.id])[known.id] ?? []
            try await handout.all(known, request, received.messageID, except: Set(votes.map(\.cast.role)))
        case .exists: break
        case .conflict(let rival):
            return .giveUp(
                reason: "session_conflict",
                error: "Session \(rival.id) is round \(rival.round) of task \(rival.task) already."
            )
        }
        return .acknowledge
    }

    /// The same message again may have been left half done. One sent anew is about what was lost before it.
    private func isNewsFor(_ known: ReviewSession, _ received: Received<ReviewRequest>) async throws -> Bool {
        guard received.messageID != received.message.messageID, received.deliveryCount == 1 else { return true }
        return try await store.offer(known.id, askedAt: received.storedAt)
    }

    private static func session(_ request: ReviewRequest, traceparent: String?) -> ReviewSession? {
        guard let artifact = ArtifactHash(bytes: SHA256.hash(data: Array(request.artifact.bytes))) else { return nil }
        let now = Date()
        let assignments = request.terms.seats.map { seat in
            (seat.role, ReviewSession.Assignment(work: TaskID(at: now, random: random()), leaseKey: key()))
        }
        return ReviewSession(
            id: request.session, tenant: request.tenant, task: request.task, attempt: request.attempt,
            round: request.round, author: request.author, authorOwner: request.authorOwner, artifact: artifact,
            terms: request.terms, assignments: Dictionary(assignments) { first, _ in first },
            traceparent: traceparent.flatMap { TraceContext(traceparent: $0)?.traceparent },
            openedAt: now, deadline: now.addingTimeInterval(TimeInterval(request.timeoutSeconds))
        )
    }

    private static func random() -> (UInt64, UInt64) { (.random(in: 0 ... .max), .random(in: 0 ... .max)) }

    /// 128 bits of the system's generator: nobody votes for a seat by guessing.
    private static func key() -> String {
        let (high, low) = random()
        return Hexadecimal.text(high) + Hexadecimal.text(low)
    }
}
