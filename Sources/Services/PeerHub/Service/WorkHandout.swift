internal import Contracts
internal import Crypto
internal import Logging
internal import MessageBus
internal import Storage

/// Hands the seats' work to the agents of their roles.
///
/// The id that stands for a task's is the seat's own, so that an agent may hold the work of several seats, and the work
/// under review, at once. Handing out again is the next attempt: its message id is the same whoever does it, and the
/// stream keeps one of them.
struct WorkHandout: Sendable {
    static let workflow = WorkflowName(literal: "review")

    let bus: MessageBus
    let store: ReviewStore
    let prompts: ReviewerPrompts
    let logger: Logger

    /// The first attempt at every seat but those that have voted. A request sent anew because messages were lost has
    /// another message id than the first; so has its work.
    func all(
        _ session: ReviewSession, _ request: ReviewRequest, _ messageID: String?, except voted: Set<AgentRole>
    ) async throws {
        let input = Self.input(session, request.artifact)
        let suffix = Self.suffix(of: messageID, request)
        let exclusion = WorkExclusion(agents: [session.author], owners: [session.authorOwner])
        let left = Self.budgetLeft(session, request)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seat in session.terms.seats where !voted.contains(seat.role) {
                group.addTask {
                    try await publish(session, seat.role, attempt: 1, input, exclusion, budgetLeft: left, suffix)
                }
            }
            try await group.waitForAll()
        }
    }

    /// Another attempt at a seat that is still empty: not for whoever has just shown that they may not vote, nor for
    /// those who have voted already. Without the request, which the stream keeps for a day, there is nothing to hand
    /// out; the seat stays empty then. False when nothing was handed out.
    ///
    /// - Parameter offer: set when time makes it be handed out, so that an attempt's earlier message does not stand in
    ///   its way.
    func again(
        _ session: ReviewSession, _ role: AgentRole, attempt: Int, notFor agent: String?, offer: Int? = nil
    ) async throws -> Bool {
        let request = try await bus.oldest(on: .reviewRequest(session.id), in: .reviews)
        guard let request, Self.hash(request.artifact) == session.artifact else {
            logger.warning(
                "a seat's work cannot be handed out again; its request is gone",
                metadata: [
                    "session_id": "\(session.id)", "role": "\(role)",
                    "trace_id": "\(TraceContext.id(of: session.traceparent))",
                ])
            return false
        }
        let voters = try await store.votes(in: [session.id])[session.id] ?? []
        guard !voters.contains(where: { $0.cast.role == role }) else { return false }
        let agents = [session.author] + voters.map(\.cast.reviewer) + (agent.map { [$0] } ?? [])
        try await publish(
            session, role, attempt: attempt, Self.input(session, request.artifact),
            WorkExclusion(agents: agents, owners: [session.authorOwner]),
            budgetLeft: Self.budgetLeft(session, request), offer.map { ".o\($0)" } ?? ""
        )
        logger.info(
            "handed a seat's work out again",
            metadata: [
                "session_id": "\(session.id)", "role": "\(role)", "attempt": "\(attempt)",
                "trace_id": "\(TraceContext.id(of: session.traceparent))",
            ])
        return true
    }

    private func publish(
        _ session: ReviewSession, _ role: AgentRole, attempt: Int, _ input: JSON, _ exclusion: WorkExclusion,
        budgetLeft: Int?, _ suffix: String = ""
    ) async throws {
        guard let assignment = session.assignments[role] else { return }
        let prompt = try await prompts.current()[role]
        let item = WorkItem(
            task: assignment.work, tenant: session.tenant, workflow: Self.workflow, stage: "review", kind: "review",
            role: role, attempt: attempt, leaseToken: SeatLease.token(for: assignment, attempt: attempt),
            deadline: session.deadline, budgetLeft: budgetLeft, prompt: prompt?.content,
            promptVersion: prompt?.version, input: input, reply: .reviewResponse(session.id), exclusion: exclusion
        )
        _ = try await bus.publish(
            item, on: .work(role), id: "\(item.task).\(attempt)\(suffix)", traceparent: session.traceparent,
            tenant: session.tenant
        )
    }

    /// Of what the task had left when its review was asked for. All seats are told the same: they work at once.
    private static func budgetLeft(_ session: ReviewSession, _ request: ReviewRequest) -> Int? {
        request.budgetLeft.map { max($0 - session.usage.total, 0) }
    }

    private static func suffix(of messageID: String?, _ request: ReviewRequest) -> String {
        guard let messageID, messageID.hasPrefix(request.messageID) else { return "" }
        return String(messageID.dropFirst(request.messageID.count).prefix(32))
    }

    private static func hash(_ artifact: JSON) -> ArtifactHash? {
        ArtifactHash(bytes: SHA256.hash(data: Array(artifact.bytes)))
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
}
