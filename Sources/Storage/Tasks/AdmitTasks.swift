internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Inserts new tasks with their idempotency keys, first events and outbox rows; answers the ids that were inserted.
///
/// A task for which nothing is held is inserted only while its tenant and project have no budget: so nobody need ask
/// for budgets first, and none is passed by.
///
/// From here on the transaction waits for a lock for half a second at most: see `PrepareBatch`.
///
/// One statement, so that an admission is one round trip, COMMIT included. A key that exists already (another
/// replica's too: the insert waits for it) keeps its task, and all that belongs to it, from being inserted. Keys are
/// inserted in order, so that two batches can never wait for each other in a circle.
struct AdmitTasks: PostgresStatement {
    let admissions: [Admission]

    static let planning = PostgresPlanning.once

    /// IS TRUE keeps the planner from making joins of the two looks into what was admitted: a join would compare every
    /// row with every other.
    static let sql =
        """
        WITH input AS MATERIALIZED (
            SELECT u.* FROM (SELECT set_config('lock_timeout', '500ms', true)) patience, unnest(
                $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[], $8::text[],
                $9::text[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::text[],
                $16::timestamptz[], $17::timestamptz[], $18::timestamptz[], $19::int8[], $20::json[], $21::json[],
                $22::text[], $23::text[], $24::bytea[], $25::json[], $26::text[], $27::uuid[], $28::int8[], $29::bool[],
                $43::text[], $44::int8[], $45::text[]
            ) AS u(
                id, tenant_id, project_id, principal, name, workflow, workflow_version, role,
                state, priority, attempt, stage_attempt, attempt_max, timeout_seconds, lease_token,
                created_at, deadline, dispatched_at, event_seq, labels, input,
                traceparent, key, fingerprint, response, location, parent_id, budget_tokens, is_held,
                callback_url, prompt_version, key_owner
            )
            WHERE is_held OR NOT EXISTS (
                SELECT FROM budget_limits l
                WHERE l.tenant_id = u.tenant_id AND l.project_id IN (u.project_id, 'all-projects')
            )
        ), keyed AS (
            INSERT INTO idempotency_keys (
                tenant_id, principal, route, key, fingerprint, status, location, response, created_at, expires_at
            )
            SELECT tenant_id, key_owner, 'POST /tasks', key, fingerprint, 202, location, response, created_at,
                created_at + interval '24 hours'
            FROM input WHERE key IS NOT NULL ORDER BY tenant_id, key_owner, key
            ON CONFLICT DO NOTHING
            RETURNING location
        ), admitted AS (
            INSERT INTO tasks (
                id, tenant_id, project_id, principal, name, workflow, workflow_version, role, state, priority, attempt,
                stage_attempt, attempt_max, timeout_seconds, lease_token, run_at, deadline, dispatched_at, event_seq,
                labels, input, traceparent, created_at, updated_at, parent_id, budget_tokens, callback_url,
                prompt_version
            )
            SELECT id, tenant_id, project_id, principal, name, workflow, workflow_version, role, state, priority,
                attempt, stage_attempt, attempt_max, timeout_seconds, lease_token, created_at, deadline, dispatched_at,
                event_seq, labels::jsonb, input, traceparent, created_at, created_at, parent_id, budget_tokens,
                callback_url, prompt_version
            FROM input WHERE key IS NULL OR location IN (SELECT location FROM keyed)
            RETURNING id
        ), history AS (
            INSERT INTO task_events (task_id, sequence, tenant_id, kind, attempt, at, data)
            SELECT * FROM unnest(
                $30::uuid[], $31::int8[], $32::text[], $33::text[], $34::int8[], $35::timestamptz[], $36::json[]
            ) AS e(task_id)
            WHERE (task_id IN (SELECT id FROM admitted)) IS TRUE
            RETURNING task_id, sequence, tenant_id, kind
        ),
        """ + WebhookFanOut.ofSubscriptions + """
            , waiting AS (
                INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, traceparent, created_at)
                SELECT *, clock_timestamp()
                FROM unnest($37::text[], $38::text[], $39::json[], $40::text[], $41::uuid[], $42::text[])
                    AS o(message_id, subject, payload, tenant_id, task_id)
                WHERE (task_id IN (SELECT id FROM admitted)) IS TRUE
            )
            SELECT id FROM admitted
            """

    func bind(to bindings: inout PostgresBindings) {
        let columns = admissions.map { TaskColumns($0.task) }
        bindings.uuids(admissions.count) { admissions[$0].task.id.uuid }
        bindings.texts(admissions.count) { admissions[$0].task.tenant.text }
        bindings.texts(admissions.count) { admissions[$0].task.project.text }
        bindings.texts(admissions.count) { admissions[$0].task.principal }
        bindings.texts(admissions.count) { admissions[$0].task.name }
        bindings.texts(admissions.count) { admissions[$0].task.workflow.text }
        bindings.ints(admissions.count) { admissions[$0].task.workflowVersion }
        bindings.texts(admissions.count) { admissions[$0].task.role.text }
        bindings.texts(columns.count) { columns[$0].state.rawValue }
        bindings.ints(admissions.count) { admissions[$0].task.priority }
        bindings.ints(admissions.count) { admissions[$0].task.attempt }
        bindings.ints(admissions.count) { admissions[$0].task.stageAttempt }
        bindings.ints(admissions.count) { admissions[$0].task.overrides.attemptMax }
        bindings.ints(admissions.count) { admissions[$0].task.overrides.timeoutSeconds }
        bindings.texts(columns.count) { columns[$0].leaseToken }
        bindings.timestamps(admissions.count) { admissions[$0].task.createdAt }
        bindings.timestamps(columns.count) { columns[$0].deadline }
        bindings.timestamps(columns.count) { columns[$0].dispatchedAt }
        bindings.ints(admissions.count) { admissions[$0].task.eventSequence }
        bindings.jsons(admissions.count) { labelsJSON(admissions[$0].task.labels).bytes }
        bindings.jsons(admissions.count) { admissions[$0].input.bytes }
        bindings.texts(admissions.count) { admissions[$0].task.traceparent }
        bindings.texts(admissions.count) { admissions[$0].key?.text }
        bindings.bytesArray(admissions.count) { admissions[$0].key?.fingerprint }
        bindings.jsons(admissions.count) { admissions[$0].key == nil ? nil : admissions[$0].response.bytes }
        bindings.texts(admissions.count) { admissions[$0].location }
        bindings.uuids(admissions.count) { admissions[$0].task.parent?.uuid }
        bindings.ints(admissions.count) { admissions[$0].task.budgetTokens }
        bindings.bools(admissions.count) { admissions[$0].hold != nil }
        bindings.events(admissions.flatMap(\.events))
        bindings.outbox(admissions.flatMap(\.outbox))
        bindings.texts(admissions.count) { admissions[$0].task.callback?.description }
        bindings.ints(admissions.count) { admissions[$0].task.promptVersion }
        bindings.texts(admissions.count) { admissions[$0].keyOwner }
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskID { TaskID(try row.uuid(0)) }

    private func labelsJSON(_ labels: [String: String]) -> JSON {
        if labels.isEmpty { return .emptyObject }
        return JSONWriter.object { writer in
            for (name, value) in labels.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
        }
    }
}

/// Which of some idempotency keys are taken, by their places.
struct FindTakenKeys: PostgresStatement {
    let admissions: [Admission]

    static let sql = """
        SELECT a.place FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
            AS a(tenant_id, principal, key, place)
        JOIN idempotency_keys i USING (tenant_id, principal, key) WHERE i.route = 'POST /tasks'
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(admissions.map { $0.task.tenant.text })
        bindings.texts(admissions.map(\.keyOwner))
        bindings.texts(admissions.map { $0.key?.text })
    }

    /// The index into the admissions.
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) - 1 }
}

/// What is stored under an idempotency key.
struct FindIdempotencyKey: PostgresStatement {
    struct Found: Sendable {
        let fingerprint: [UInt8]
        let response: StoredResponse
    }

    let route: String
    let tenant: TenantID
    let principal: String
    let key: String

    static let isReadOnly = true
    static let sql = """
        SELECT fingerprint, status, location, response FROM idempotency_keys
        WHERE tenant_id = $1 AND principal = $2 AND route = $3 AND key = $4
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(principal)
        bindings.text(route)
        bindings.text(key)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Found {
        Found(
            fingerprint: try row.bytes(0),
            response: StoredResponse(status: try row.int(1), location: try row.text(2), body: try row.parsedJSON(3))
        )
    }
}
