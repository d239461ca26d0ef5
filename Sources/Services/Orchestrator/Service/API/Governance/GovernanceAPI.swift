internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// What the governance routes do. The routes themselves, as data, stand in `GovernanceAPI+Routes`.
///
/// Prompts and their rules are the installation's, not one tenant's: every agent of a role is handed the same.
struct GovernanceAPI: Sendable {
    /// A prompt of the largest size, should all of it be escaped.
    static let proposalBytesMax = 6 * PromptProposal.contentBytesMax + decisionBytesMax
    /// Other bodies hold a few short fields.
    static let decisionBytesMax = 64 * 1024

    let store: GovernanceStore

    // MARK: Looking

    func status(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let role: AgentRole? = try query.name("role")
        try query.refuseUnknown()
        let roles = try await store.status(of: role)
        return .json(
            JSONWriter.object { writer in
                writer.field("roles", array: { for role in roles { $0.element(GovernanceView.role(role)) } })
            }
        )
    }

    func stats(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let stats = try await store.stats()
        return .json(
            JSONWriter.object { writer in
                writer.field("roles", array: { for role in stats { $0.element(GovernanceView.stats(role)) } })
            }
        )
    }

    func patterns(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page(of: "patterns")
        let filter = PatternFilter(
            role: try query.name("role"), status: try query.choice("status"),
            before: page.after?.keys.first.flatMap { Int($0) }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.patterns(filter)
        return .json(
            page.document("patterns", found, cursor: { Cursor(["\($0.id)"]) }, view: GovernanceView.pattern))
    }

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page(of: "prompts")
        let filter = PromptFilter(
            role: try query.name("role"), status: try query.choice("status"),
            before: page.after?.keys.first.flatMap { PromptID($0) }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.prompts(filter)
        return .json(
            page.document("prompts", found, cursor: { Cursor([$0.id.description]) }, view: GovernanceView.prompt))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        guard let document = try await store.find(try Self.id(context)) else { throw Problem.notFound("prompt") }
        return .json(GovernanceView.document(document))
    }

    // MARK: Changing

    func propose(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let proposal = try PromptProposal(json: try await request.readJSON(limit: Self.proposalBytesMax))
        switch try await store.propose(proposal, by: principal.subject) {
        case .filed(let filed):
            return .json(
                GovernanceView.filed(filed), status: .created,
                headers: [.location: "/governance/prompts/\(filed.prompt.id)"]
            )
        case .refused(let refusal): throw Self.problem(refusal)
        }
    }

    func approve(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let (principal, id, notes) = try await Self.review(request, context)
        return try Self.answer(try await store.approve(id, by: principal.subject, notes: notes))
    }

    func reject(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let (principal, id, notes) = try await Self.review(request, context)
        return try Self.answer(try await store.reject(id, by: principal.subject, notes: notes))
    }

    func activate(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let id = try Self.id(context)
        let reason = try PromptDecision.reason(json: try await request.readJSON(limit: Self.decisionBytesMax))
        return try Self.answer(try await store.activate(id, by: principal.subject, reason: reason))
    }

    func setRules(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        guard let role = AgentRole(context.path("role")) else {
            throw Problem.invalid("role", "must be 1 to 63 of A-Z a-z 0-9 _ - and start with a letter or digit")
        }
        let expected = try Self.expectedRules(request)
        let rules = try GovernanceRules(json: try await request.readJSON(limit: Self.decisionBytesMax))
        switch try await store.setRules(rules, of: role, expectedVersion: expected) {
        case .set(let role):
            return .json(GovernanceView.role(role), headers: [.eTag: "\"\(role.rules.version)\""])
        case .stale(let found):
            let version = found?.rules.version ?? GovernanceRules.versionOfNone
            throw Problem(
                .preconditionFailed,
                "The role's rules are at version \(version). Nothing was changed; look at them and try again.",
                members: found.map { [Problem.Member(name: "role", value: GovernanceView.role($0))] } ?? []
            )
        }
    }

    // MARK: Reading requests

    /// A path that is no id names no prompt.
    private static func id(_ context: EdgeRequestContext) throws(Problem) -> PromptID {
        guard let id = PromptID(context.path("id")) else { throw Problem.notFound("prompt") }
        return id
    }

    private static func review(
        _ request: Request, _ context: EdgeRequestContext
    ) async throws -> (Principal, PromptID, notes: String?) {
        let principal = try context.requirePrincipal()
        let id = try id(context)
        let body = try await request.readOptionalJSON(limit: decisionBytesMax)
        return (principal, id, try PromptDecision.notes(json: body ?? .emptyObject))
    }

    /// The version in `If-Match`, as an ETag of `PUT /governance/rules/{role}` or `rules_version` gave it; nil when it
    /// was not sent, or is `*`.
    private static func expectedRules(_ request: Request) throws(Problem) -> String? {
        try request.expectedVersion("one rules_version, such as \"5-2-auto\", or \"none\"") { version in
            version.wholeMatch(of: /none|[0-9]{1,4}-[0-9]{1,4}-(human|auto)/).map { String($0.0) }
        }
    }

    private static func answer(_ outcome: DecisionOutcome) throws(Problem) -> Response {
        switch outcome {
        case .decided(let prompt): return .json(GovernanceView.prompt(prompt))
        case .refused(let refusal): throw problem(refusal)
        }
    }

    private static func problem(_ refusal: GovernanceRefusal) -> Problem {
        switch refusal.kind {
        case .selfApproval: Problem(.selfApproval, refusal.message)
        case .unknown: Problem(.notFound, refusal.message)
        case .conflict: Problem(.conflict, refusal.message)
        case .invalid: Problem(.validationFailed, refusal.message)
        }
    }
}
