internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// What the routes of dead letters do. The routes themselves, as data, stand in `DeadLetterAPI+Routes`; replays, which
/// the dlq-workers carry out, in `DeadLetterAPI+Replays`.
struct DeadLetterAPI: Sendable {
    static let listMax = 200
    static let listDefault = 50
    static let notesMax = 2000
    /// Other bodies hold a filter.
    static let bodyBytesMax = 128 * 1024

    enum State: String, CaseIterable { case open, resolved, all }

    let store: DeadLetterStore
    let tasks: TaskStore
    let submitter: TaskSubmitter
    let tokens: TokenSettler

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let limit = try query.int("limit", in: 1...Self.listMax) ?? Self.listDefault
        let cursor = try query.cursor(list: "dlq")
        let state: State = try query.choice("state") ?? .open
        let page = DeadLetterPage(
            tenant: tenant, filter: try Self.filter(&query), isResolved: state == .all ? nil : state == .resolved,
            after: cursor.flatMap(Self.place), limit: limit + 1
        )
        try query.refuseUnknown()
        let found = try await store.list(page)
        let letters = found.prefix(limit)
        return .json(
            JSONWriter.object { writer in
                writer.field(
                    "dead_letters", array: { for letter in letters { $0.element(DeadLetterView.summary(letter)) } })
                if found.count > limit, let last = letters.last {
                    let keys = ["\(last.createdAt.timeIntervalSinceReferenceDate.bitPattern)", last.id.description]
                    writer.field("next_cursor", Cursor(keys).text(list: "dlq"))
                }
            }
        )
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

    private static func place(_ cursor: Cursor) -> (at: Date, id: DeadLetterID)? {
        guard cursor.keys.count == 2, let bits = UInt64(cursor.keys[0]), let id = DeadLetterID(cursor.keys[1])
        else { return nil }
        let at = Date(timeIntervalSinceReferenceDate: Double(bitPattern: bits))
        // The years 1970 to 9999, as elsewhere; what is no number is in no range.
        guard (0..<253_402_300_800).contains(at.timeIntervalSince1970) else { return nil }
        return (at, id)
    }

    private static func filter(_ query: inout QueryReader) throws(Problem) -> DeadLetterFilter {
        var filter = DeadLetterFilter()
        filter.subject = try text("subject", &query)
        filter.reason = try text("reason", &query)
        filter.cause = try text("cause", &query)
        filter.task = try query.taskID("task")
        filter.before = try time("before", &query)
        filter.since = try time("since", &query)
        return filter
    }

    private static func text(_ name: String, _ query: inout QueryReader) throws(Problem) -> String? {
        guard let text = query.string(name) else { return nil }
        guard (1...DeadLetterFilter.textBytesMax).contains(text.utf8.count), !text.utf8.contains(0) else {
            throw QueryReader.error(name, "must be 1 to \(DeadLetterFilter.textBytesMax) bytes")
        }
        return text
    }

    private static func time(_ name: String, _ query: inout QueryReader) throws(Problem) -> Date? {
        guard let text = query.string(name) else { return nil }
        guard let date = Timestamp.date(text) else {
            throw QueryReader.error(name, "must be a time such as 2026-01-31T12:00:00Z")
        }
        return date
    }
}
