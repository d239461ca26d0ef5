internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// What the routes of dead letters do. The routes themselves, as data, stand in `DeadLetterAPI+Routes`; replays, which
/// the dlq-workers carry out, in `DeadLetterAPI+Replays`.
struct DeadLetterAPI: Sendable {
    static let notesMax = 2000
    /// Other bodies hold a filter.
    static let bodyBytesMax = 128 * 1024

    enum State: String, CaseIterable { case open, resolved, all }

    let store: DeadLetterStore
    let tasks: TaskStore
    let submitter: TaskSubmitter
    let tokens: TokenSettler
    /// Those whose streams follow a replay.
    let followers = ReplayFollowers(max: ReplayFeed.followersMax)

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let page = try query.page(of: "dead-letters")
        let state: State = try query.choice("state") ?? .open
        let wanted = DeadLetterPage(
            tenant: tenant, filter: try Self.filter(&query), isResolved: state == .all ? nil : state == .resolved,
            after: page.after?.place { time, id in DeadLetterID(id).map { (at: time, id: $0) } }, limit: page.limit
        )
        try query.refuseUnknown()
        let found = try await store.list(wanted)
        return .json(
            page.document(
                "dead_letters", found, cursor: { Cursor($0.createdAt, $0.id.description) },
                view: DeadLetterView.summary))
    }

    func groups(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let filter = try Self.filter(&query)
        try query.refuseUnknown()
        let groups = try await store.groups(filter, tenant: tenant)
        return .json(
            JSONWriter.object { writer in
                writer.field("groups", array: { for group in groups { $0.element(DeadLetterView.group(group)) } })
                writer.field("total", groups.reduce(0) { $0 + $1.count })
            }
        )
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return .json(DeadLetterView.document(try await find(context)))
    }

    func resolve(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let letter = try await find(context).letter
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let notes = try body.string("notes")
        try body.refuseUnknown()
        guard (1...Self.notesMax).contains(notes.unicodeScalars.count) else {
            throw body.error("notes", "must be 1 to \(Self.notesMax) characters: say why nothing is left to be done")
        }
        let isClosed = try await store.resolve(
            letter.id, tenant: principal.tenant, by: principal.subject, notes: notes)
        guard isClosed else { throw Self.resolvedBefore }
        return .json(DeadLetterView.document(try await find(context)))
    }

    static let resolvedBefore = Problem(.conflict, "The dead letter is resolved already. Nothing was changed.")

    func find(_ context: EdgeRequestContext) async throws -> DeadLetterDocument {
        guard let id = DeadLetterID(context.path("id")),
            let found = try await store.find(id, tenant: try context.requirePrincipal().tenant)
        else { throw Problem.notFound("dead letter") }
        return found
    }

    private static func filter(_ query: inout QueryReader) throws(Problem) -> DeadLetterFilter {
        var filter = DeadLetterFilter()
        filter.subject = try text("subject", &query)
        filter.reason = try text("reason", &query)
        filter.cause = try text("cause", &query)
        filter.task = try query.taskID("task")
        filter.before = try query.time("before")
        filter.since = try query.time("since")
        return filter
    }

    private static func text(_ name: String, _ query: inout QueryReader) throws(Problem) -> String? {
        guard let text = query.string(name) else { return nil }
        guard (1...DeadLetterFilter.textBytesMax).contains(text.utf8.count), !text.utf8.contains(0) else {
            throw QueryReader.error(name, "must be 1 to \(DeadLetterFilter.textBytesMax) bytes")
        }
        return text
    }
}
