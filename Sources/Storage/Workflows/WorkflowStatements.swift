internal import Contracts
internal import FoundationEssentials
internal import Postgres

extension StoredWorkflow {
    static let columns = "w.tenant_id, w.name, w.version, w.definition, w.created_by, w.created_at"

    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        let name: WorkflowName = try row.name(1)
        let version = try row.int(2)
        let definition = try row.parsedJSON(3)
        do {
            workflow = try Workflow(name: name, version: version, definition: definition)
        } catch {
            throw TaskRow.unreadable("Version \(version) of the workflow \(name) is damaged (\(error))")
        }
        tenant = try row.name(0)
        createdBy = try row.text(4)
        createdAt = try row.timestamp(5)
    }
}

/// Stores one version; no row when it exists already or the tenant has too many.
struct InsertWorkflow: PostgresStatement {
    let tenant: TenantID
    let name: WorkflowName
    let version: Int
    let definition: JSON
    let principal: String
    let versionsMax: Int

    static let sql =
        """
        INSERT INTO workflows AS w (tenant_id, name, version, definition, created_by)
        SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM workflows WHERE tenant_id = $1) < $6
        ON CONFLICT DO NOTHING RETURNING
        """ + " " + StoredWorkflow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name.text)
        bindings.int(version)
        bindings.json(Array(definition.bytes))
        bindings.text(principal)
        bindings.int(versionsMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredWorkflow { try StoredWorkflow(row) }
}

struct FindWorkflow: PostgresStatement {
    let tenant: TenantID
    let name: WorkflowName
    let version: Int?

    static let isReadOnly = true
    static let sql =
        "SELECT " + StoredWorkflow.columns + """
             FROM workflows w WHERE w.tenant_id = $1 AND w.name = $2 AND ($3::int8 IS NULL OR w.version = $3)
            ORDER BY w.version DESC LIMIT 1
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(name.text)
        bindings.int(version)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredWorkflow { try StoredWorkflow(row) }
}

struct ListWorkflows: PostgresStatement {
    let tenant: TenantID
    let after: WorkflowName?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT DISTINCT ON (w.name) " + StoredWorkflow.columns + """
             FROM workflows w WHERE w.tenant_id = $1 AND ($2::text IS NULL OR w.name > $2)
            ORDER BY w.name, w.version DESC LIMIT $3
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(after?.text)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredWorkflow { try StoredWorkflow(row) }
}

struct WorkflowsOfTasks: PostgresStatement {
    let tasks: [TaskID]

    static let isReadOnly = true
    static let sql =
        "SELECT " + StoredWorkflow.columns + """
             FROM workflows w WHERE (w.tenant_id, w.name, w.version) IN (
                SELECT tenant_id, workflow, workflow_version FROM tasks WHERE id = ANY($1::uuid[])
            )
            """

    func bind(to bindings: inout PostgresBindings) { bindings.uuids(tasks.map(\.uuid)) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredWorkflow { try StoredWorkflow(row) }
}
