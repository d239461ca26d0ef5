internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// What the workflow routes do. The routes themselves, as data, stand in `WorkflowAPI+Routes`.
struct WorkflowAPI: Sendable {
    static let bodyBytesMax = 64 * 1024

    let store: WorkflowStore
    let catalogue: WorkflowCatalogue

    func put(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let expected = try request.expectedVersion()
        guard let name = WorkflowName(context.path("name")) else {
            throw Problem.invalid("name", "must be 1 to 63 of A-Z a-z 0-9 _ - and start with a letter or digit")
        }
        guard catalogue.builtIn(name) == nil else {
            throw Problem.invalid("name", "is a workflow every installation has; choose another")
        }
        let workflow = try Workflow(
            name: name, version: 1, definition: try await request.readJSON(limit: Self.bodyBytesMax)
        )
        let outcome = try await store.put(
            name, workflow.definition, tenant: principal.tenant, by: principal.subject, expected: expected
        )
        switch outcome {
        case .stored(let stored): return Self.answer(stored, status: .created)
        case .unchanged(let stored): return Self.answer(stored, status: .ok)
        case .otherVersion(let version):
            let found = version == 0 ? "does not exist" : "is at version \(version)"
            throw Problem(
                .preconditionFailed, "The workflow \(found). Nothing was stored; look at it and try again.")
        case .full:
            throw Problem(
                .conflict,
                "A tenant may store \(WorkflowStore.versionsMax) versions of workflows, and has. Nothing was stored."
            )
        }
    }

    private static func answer(_ stored: StoredWorkflow, status: HTTPResponse.Status) -> Response {
        .json(
            WorkflowView.stored(stored), status: status, headers: [.eTag: "\"\(stored.workflow.version)\""])
    }

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let page = try query.page(of: "workflows")
        try query.refuseUnknown()
        let after = page.after?.keys.first.flatMap { WorkflowName($0) }
        let found = try await store.list(tenant: tenant, after: after, limit: page.limit)
        // Those that every installation has come before all others, and do not count.
        let common = page.after == nil ? catalogue.builtInNames.compactMap(catalogue.builtIn) : []
        return .json(
            page.document(
                "workflows", found, leading: common.map(WorkflowView.builtIn),
                cursor: { Cursor([$0.workflow.name.text]) }, view: WorkflowView.stored))
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let tenant = try context.requirePrincipal().tenant
        var query = try QueryReader(request)
        let version = try query.int("version", in: 1...Int(Int32.max))
        try query.refuseUnknown()
        guard let name = WorkflowName(context.path("name")) else { throw Problem.notFound("workflow") }
        if let common = catalogue.builtIn(name) {
            guard version == nil || version == common.version else { throw Problem.notFound("workflow") }
            return .json(WorkflowView.builtIn(common))
        }
        guard let stored = try await store.find(name, version: version, tenant: tenant) else {
            throw Problem.notFound("workflow")
        }
        return Self.answer(stored, status: .ok)
    }
}

/// Workflows as the API shows them.
enum WorkflowView {
    static func builtIn(_ workflow: Workflow) -> JSON {
        JSONWriter.object { write(workflow, isBuiltIn: true, to: &$0) }
    }

    static func stored(_ stored: StoredWorkflow) -> JSON {
        JSONWriter.object { writer in
            write(stored.workflow, isBuiltIn: false, to: &writer)
            writer.field("created_by", stored.createdBy)
            writer.field("created_at", Timestamp.text(stored.createdAt))
        }
    }

    private static func write(_ workflow: Workflow, isBuiltIn: Bool, to writer: inout JSONWriter) {
        writer.field("name", workflow.name.text)
        writer.field("version", workflow.version)
        writer.field("built_in", isBuiltIn)
        for field in workflow.definition.fields ?? [] { writer.field(field.name, field.value) }
    }
}
