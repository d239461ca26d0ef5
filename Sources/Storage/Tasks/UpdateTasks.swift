internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Writes the new rows of tasks, each guarded by the sequence of its last event; in the order of their ids, as they are
/// locked elsewhere.
///
/// The server itself refuses a batch of which it did not write every row, so that what follows need not wait for the
/// count: the cast fails only where the rows do not match, since it is made of values no planner knows.
struct UpdateTasks: PostgresStatement {
    let changes: [TaskChange]

    static let planning = PostgresPlanning.once
    static let sql = """
        WITH u AS MATERIALIZED (
            SELECT * FROM unnest(
                $1::uuid[], $2::int8[], $3::text[], $4::int8[], $5::text[], $6::int8[], $7::int8[], $8::int8[],
                $9::int8[], $10::int8[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::text[],
                $15::timestamptz[], $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::json[],
                $21::timestamptz[], $22::int8[], $23::int8[], $24::int8[], $25::int8[],
                $26::int8[], $27::json[], $28::json[], $29::int8[], $30::text[], $31::text[], $32::int8[], $33::int8[]
            ) AS u(
                id, previous_seq, state, stage, role, attempt, stage_attempt, event_seq,
                progress_seen, usage_tokens, agent, updated_at, run_at, lease_token,
                dispatched_at, deadline, cancel_reason, error_code, error_message, output,
                ended_at, attempt_max, timeout_seconds, attempt_tokens, prompt_version,
                rework, plan, draft, review_round, draft_agent, draft_role, draft_attempt, draft_prompt_version
            )
            ORDER BY id
        ), written AS (
            UPDATE tasks t SET
                state = u.state, stage = u.stage, role = u.role, attempt = u.attempt, stage_attempt = u.stage_attempt,
                event_seq = u.event_seq, progress_seen = u.progress_seen, usage_tokens = u.usage_tokens,
                agent = u.agent, updated_at = u.updated_at, run_at = coalesce(u.run_at, t.run_at),
                lease_token = u.lease_token, dispatched_at = u.dispatched_at, deadline = u.deadline,
                cancel_reason = u.cancel_reason, error_code = u.error_code, error_message = u.error_message,
                output = CASE WHEN u.state = 'completed' THEN coalesce(u.output, u.draft, t.draft) END,
                rework = u.rework, plan = u.plan,
                draft = CASE WHEN u.ended_at IS NULL THEN coalesce(u.draft, t.draft) END,
                ended_at = u.ended_at, attempt_max = u.attempt_max,
                timeout_seconds = u.timeout_seconds, attempt_tokens = u.attempt_tokens,
                prompt_version = u.prompt_version, review_round = u.review_round, draft_agent = u.draft_agent,
                draft_role = u.draft_role, draft_attempt = u.draft_attempt,
                draft_prompt_version = u.draft_prompt_version
            FROM u WHERE t.id = u.id AND t.event_seq = u.previous_seq
            RETURNING 1
        )
        SELECT CASE WHEN count(*) = $34 THEN 0
            ELSE ('tasks are not what they were taken for: wrote ' || count(*) || ' of ' || $34)::int END
        FROM written
        """

    func bind(to bindings: inout PostgresBindings) {
        let columns = changes.map { TaskColumns($0.task) }
        bindings.uuids(changes.count) { changes[$0].task.id.uuid }
        bindings.ints(changes.count) { changes[$0].previousSequence }
        bindings.texts(columns.count) { columns[$0].state.rawValue }
        bindings.ints(changes.count) { changes[$0].task.stage }
        bindings.texts(changes.count) { changes[$0].task.role.text }
        bindings.ints(changes.count) { changes[$0].task.attempt }
        bindings.ints(changes.count) { changes[$0].task.stageAttempt }
        bindings.ints(changes.count) { changes[$0].task.eventSequence }
        bindings.ints(changes.count) { changes[$0].task.progressSeen }
        bindings.ints(changes.count) { changes[$0].task.usageTokens }
        bindings.texts(changes.count) { changes[$0].task.agent?.text }
        bindings.timestamps(changes.count) { changes[$0].task.updatedAt }
        bindings.timestamps(columns.count) { columns[$0].runAt }
        bindings.texts(columns.count) { columns[$0].leaseToken }
        bindings.timestamps(columns.count) { columns[$0].dispatchedAt }
        bindings.timestamps(columns.count) { columns[$0].deadline }
        bindings.texts(columns.count) { columns[$0].cancelReason }
        bindings.texts(columns.count) { columns[$0].errorCode }
        bindings.texts(columns.count) { columns[$0].errorMessage }
        bindings.jsons(columns.count) { columns[$0].output?.bytes }
        bindings.timestamps(columns.count) { columns[$0].endedAt }
        bindings.ints(changes.count) { changes[$0].task.overrides.attemptMax }
        bindings.ints(changes.count) { changes[$0].task.overrides.timeoutSeconds }
        bindings.ints(changes.count) { changes[$0].task.attemptTokens }
        bindings.ints(changes.count) { changes[$0].task.promptVersion }
        bindings.ints(changes.count) { changes[$0].task.rework }
        bindings.jsons(changes.count) { changes[$0].task.plan?.bytes }
        bindings.jsons(columns.count) { columns[$0].draft?.bytes }
        bindings.ints(changes.count) { changes[$0].task.reviewRound }
        bindings.texts(changes.count) { changes[$0].task.author?.agent.text }
        bindings.texts(changes.count) { changes[$0].task.author?.role.text }
        bindings.ints(changes.count) { changes[$0].task.author?.attempt }
        bindings.ints(changes.count) { changes[$0].task.author?.promptVersion }
        bindings.int(changes.count)
    }
}

/// Appends to the histories of tasks, to the outbox, and to what webhooks are to deliver.
struct AppendEffects: PostgresStatement {
    let events: [TaskEvent]
    let outbox: [OutboxMessage]
    let callbacks: [TaskCallback]

    static let planning = PostgresPlanning.once
    static let sql =
        """
        WITH history AS (
            INSERT INTO task_events (task_id, sequence, tenant_id, kind, attempt, at, data)
            SELECT * FROM unnest(
                $1::uuid[], $2::int8[], $3::text[], $4::text[], $5::int8[], $6::timestamptz[], $7::json[]
            )
            RETURNING task_id, sequence, tenant_id, kind
        ),
        """ + WebhookFanOut.ofSubscriptionsAndCallbacks + """

            INSERT INTO outbox (message_id, subject, payload, tenant_id, task_id, traceparent, created_at)
            SELECT *, clock_timestamp()
            FROM unnest($8::text[], $9::text[], $10::json[], $11::text[], $12::uuid[], $13::text[])
            ON CONFLICT (message_id) DO NOTHING
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.events(events)
        bindings.outbox(outbox)
        bindings.callbacks(callbacks)
    }
}

extension PostgresBindings {
    /// Seven arrays: task_id, sequence, tenant_id, kind, attempt, at, data.
    mutating func events(_ events: [TaskEvent]) {
        uuids(events.count) { events[$0].task.uuid }
        ints(events.count) { events[$0].sequence }
        texts(events.count) { events[$0].tenant.text }
        texts(events.count) { events[$0].kind.rawValue }
        ints(events.count) { events[$0].attempt }
        timestamps(events.count) { events[$0].at }
        jsons(events.count) { events[$0].data.bytes }
    }

    /// Six arrays: message_id, subject, payload, tenant_id, task_id, traceparent.
    mutating func outbox(_ outbox: [OutboxMessage]) {
        texts(outbox.count) { outbox[$0].messageID }
        texts(outbox.count) { outbox[$0].subject }
        jsons(outbox.count) { outbox[$0].payload.bytes }
        texts(outbox.count) { outbox[$0].tenant.text }
        uuids(outbox.count) { outbox[$0].task.uuid }
        texts(outbox.count) { outbox[$0].traceparent }
    }
}
