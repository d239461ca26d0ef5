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
/// new ones when it was sent anew because messages were lost.
final class RequestIntake: Service {
    /// Requests in hand at once.
    static let batchMax = 64
    static let workflow = WorkflowName(literal: "review")

    private let bus: MessageBus
    private let store: ReviewStore
    private let prompts: ReviewerPrompts
    private let instruments: HubInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: ReviewStore, prompts: ReviewerPrompts, instruments: HubInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.prompts = prompts
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
        try await withThrowingTaskGroup(of: (Int, Settlement).self) { group in
            for (index, received) in batch.enumerated() {
                group.addTask { (index, try await self.open(received)) }
            }
            var settlements = [Settlement](repeating: .acknowledge, count: batch.count)
            for try await (index, settlement) in group { settlements[index] = settlement }
            return settlements
        }
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
                metadata: ["session_id": "\(opened.id)", "task_id": "\(opened.task)", "round": "\(opened.round)"]
            )
            try await handOut(opened, request, received.messageID)
        case .exists(let known):
            if known.status == .open { try await handOut(known, request, received.messageID) }
        case .conflict(let rival):
            return .giveUp(
                reason: "session_conflict",
                error: "Session \(rival.id) is round \(rival.round) of task \(rival.task) already."
            )
        }
        return .acknowledge
    }

    /// One work item for each seat. The id that stands for a task's is the seat's own, so that an agent may hold the
    /// work of several seats, and the work under review, at once.
    private func handOut(_ session: ReviewSession, _ request: ReviewRequest, _ messageID: String?) async throws {
        let input = Self.input(session, request.artifact)
        let suffix = Self.suffix(of: messageID, request)
        let prompts = try await prompts.current()
        let voted = Set(try await store.votes(in: [session.id])[session.id]?.map(\.cast.role) ?? [])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seat in session.terms.seats {
                guard let assignment = session.assignments[seat.role], !voted.contains(seat.role) else { continue }
                let item = WorkItem(
                    task: assignment.work, tenant: session.tenant, workflow: Self.workflow, stage: "review",
                    kind: "review", role: seat.role, attempt: 1, leaseToken: assignment.leaseToken,
                    deadline: session.deadline, prompt: prompts[seat.role]?.content,
                    promptVersion: prompts[seat.role]?.version, input: input, reply: .reviewResponse(session.id)
                )
                group.addTask {
                    _ = try await self.bus.publish(
                        item, on: .work(seat.role), id: "\(item.task).1\(suffix)",
                        traceparent: session.traceparent, tenant: session.tenant
                    )
                }
            }
            try await group.waitForAll()
        }
    }

    /// What makes a request sent anew another message than the first; the same for its work.
    private static func suffix(of messageID: String?, _ request: ReviewRequest) -> String {
        guard let messageID, messageID.hasPrefix(request.messageID) else { return "" }
        return String(messageID.dropFirst(request.messageID.count).prefix(32))
    }

    private static func input(_ session: ReviewSession, _ artifact: JSON) -> JSON {
        JSONWriter.object { writer in
            writer.field("session_id", session.id.description)
            writer.field("task_id", session.task.description)
            writer.field("attempt", session.attempt)
            writer.field("round", session.round)
            writer.field("artifact_sha256", session.artifact.description)
            writer.field("artifact", artifact)
        }
    }

    private static func session(_ request: ReviewRequest, traceparent: String?) -> ReviewSession? {
        guard let artifact = ArtifactHash(bytes: SHA256.hash(data: Array(request.artifact.bytes))) else { return nil }
        let now = Date()
        let assignments = request.terms.seats.map { seat in
            (seat.role, ReviewSession.Assignment(work: TaskID(at: now, random: random()), leaseToken: token()))
        }
        return ReviewSession(
            id: request.session, tenant: request.tenant, task: request.task, attempt: request.attempt,
            round: request.round, author: request.author, authorOwner: request.authorOwner, artifact: artifact,
            terms: request.terms, assignments: Dictionary(assignments) { first, _ in first }, traceparent: traceparent,
            openedAt: now, deadline: now.addingTimeInterval(TimeInterval(request.timeoutSeconds))
        )
    }

    private static func random() -> (UInt64, UInt64) { (.random(in: 0 ... .max), .random(in: 0 ... .max)) }

    /// 128 bits of the system's generator: nobody votes for a seat by guessing.
    private static func token() -> String {
        let (high, low) = random()
        return Hexadecimal.text(high) + Hexadecimal.text(low)
    }
}
