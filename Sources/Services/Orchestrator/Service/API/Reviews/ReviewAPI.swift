internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import MessageBus
internal import PeerHubCore
internal import Storage

/// What the review routes do. The routes themselves, as data, stand in `ReviewAPI+Routes`.
///
/// Voting here is the same transaction as voting over NATS: whoever counts the deciding vote decides.
struct ReviewAPI: Sendable {
    /// Rounds of one task shown at once.
    static let roundsMax = 100
    /// A vote's words and the JSON around them.
    static let bodyBytesMax = 64 * 1024

    let store: ReviewStore
    let tasks: TaskStore
    let bus: MessageBus

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page(of: "reviews")
        let filter = ReviewFilter(
            tenant: try context.requirePrincipal().tenant, status: try query.choice("status"),
            before: page.after?.keys.first.flatMap { ReviewID($0) }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.list(filter)
        return .json(
            page.document("reviews", found, cursor: { Cursor([$0.id.description]) }, view: ReviewView.summary))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let session = try await find(context)
        return .json(ReviewView.document(session, votes: try await votes(in: session)))
    }

    func ofTask(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        let id = try context.taskID()
        guard try await tasks.find(id, tenant: tenant) != nil else { throw Problem.notFound("task") }
        let sessions = try await store.sessions(of: id, tenant: tenant, limit: Self.roundsMax)
        let votes = try await store.votes(in: sessions.map(\.id))
        return .json(
            JSONWriter.object { writer in
                writer.field(
                    "reviews",
                    array: { writer in
                        for session in sessions {
                            writer.element(ReviewView.document(session, votes: votes[session.id] ?? []))
                        }
                    })
            }
        )
    }

    func impact(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let session = try await find(context)
        var query = try QueryReader(request)
        let agent = query.string("agent")
        try query.refuseUnknown()
        let votes = try await votes(in: session).map(\.cast)
        let tally = Tally(session.terms, votes)
        let roles = session.terms.seats.map(\.role).filter { role in
            agent.map { $0 == role.text || $0 == tally.votes[role]?.reviewer } ?? true
        }
        guard !roles.isEmpty else { throw Problem.notFound("reviewer in this session") }
        let impacts = roles.compactMap { Impact(of: $0, in: tally, atDeadline: session.deadline <= Date()) }
        return .json(
            JSONWriter.object { writer in
                writer.field("session_id", session.id.description)
                writer.field("status", session.status.rawValue)
                writer.field(
                    "impacts",
                    array: { writer in
                        for impact in impacts {
                            let reviewer = tally.votes[impact.role]?.reviewer
                            writer.element(ReviewView.impact(impact, reviewer: reviewer))
                        }
                    })
            }
        )
    }

    func vote(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let session = try await find(context)
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let role: AgentRole = try body.name("role")
        let vote = try VoteBody(from: &body)
        guard vote.artifact != nil else { throw body.error("artifact_sha256", "is required") }
        try body.refuseUnknown()
        let ballot = Ballot(
            session: session.id, role: role, reviewer: principal.subject,
            owner: try await owner(of: principal, votingAs: role), body: vote, proof: .principal(principal.tenant)
        )
        let outcome = try await store.count([ballot]).first ?? .unknown
        switch outcome {
        case .counted(let session):
            if session.status != .open { await announce(session, context) }
            let votes = try await votes(in: session)
            return .json(ReviewView.document(session, votes: votes), status: .created)
        case .repeated(let session):
            context.setAnswerHeader(.idempotentReplayed, "true")
            return .json(ReviewView.document(session, votes: try await votes(in: session)))
        case .refused(let refusal, let session): throw ReviewProblem.refused(refusal, session)
        case .unknown: throw Problem.notFound("review")
        }
    }

    /// An agent votes in the roles it announced, and its owner counts; anybody else speaks for themselves.
    private func owner(of principal: Principal, votingAs role: AgentRole) async throws -> String {
        let agent = try await store.agents([principal.subject])[principal.subject]
        if principal.role == .agent, agent?.roles.contains(role) != true {
            throw Problem(.forbidden, "This agent has not announced the role \(role). The vote was not counted.")
        }
        return agent?.owner ?? principal.subject
    }

    /// At once, for whoever waits. A peer hub announces it a moment later, too, and is the one to note and count it.
    private func announce(_ session: ReviewSession, _ context: EdgeRequestContext) async {
        do {
            guard let decision = ReviewDecision(session, votes: try await votes(in: session)) else { return }
            _ = try await bus.publish(
                decision, on: .reviewDecision(session.id), id: decision.messageID, traceparent: session.traceparent,
                tenant: session.tenant
            )
        } catch {
            context.logger.info(
                "a peer hub will announce this decision",
                metadata: [
                    "session_id": "\(session.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: session.traceparent))",
                ]
            )
        }
    }

    private func find(_ context: EdgeRequestContext) async throws -> ReviewSession {
        guard let id = ReviewID(context.path("session")),
            let session = try await store.find(id, tenant: try context.requirePrincipal().tenant)
        else { throw Problem.notFound("review") }
        return session
    }

    private func votes(in session: ReviewSession) async throws -> [ReviewVote] {
        try await store.votes(in: [session.id])[session.id] ?? []
    }
}
