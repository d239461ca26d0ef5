-- 001: the tables of the orchestrator and of the DLQ worker.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
--
-- How the tables are tuned: rows that are rewritten often leave room in their pages (fillfactor), so that an update
-- that touches no indexed column stays in its page (HOT), and autovacuum comes by the number of dead rows, not by their
-- share.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    CREATE TABLE schema_migrations (
        version int PRIMARY KEY CHECK (version > 0),
        name text NOT NULL,
        checksum text CHECK (checksum ~ '^[0-9a-f]{64}$'),
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    COMMENT ON TABLE schema_migrations IS 'Which migrations are applied. Each writes its own row.';
    COMMENT ON COLUMN schema_migrations.checksum IS
        'SHA-256 of the file; null when it was run with psql and the migrator has not been run since.';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 1) THEN
    RAISE NOTICE 'Migration 001 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Behind the missing grant a second lock: rows of append-only tables are neither changed nor removed, whoever asks.
-- A table whose trigger says 'purgeable' lets retention delete, in a transaction that names the table first:
--     SET LOCAL golden.purge = 'task_events'
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND TG_NARGS = 1 AND current_setting('golden.purge', true) = TG_TABLE_NAME THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'Table % is append-only: the % was refused and nothing was changed.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME,
            HINT = 'Add a new row that corrects the old one.';
END
$body$;

-- Tasks ---------------------------------------------------------------------------------------------------------------

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    project_id text NOT NULL,
    principal text NOT NULL,
    name text,
    workflow text NOT NULL,
    workflow_version int NOT NULL,
    stage int NOT NULL DEFAULT 0,
    role text NOT NULL,
    state text NOT NULL CONSTRAINT tasks_state_is_known CHECK (state IN (
        'queued', 'developing', 'testing', 'reviewing', 'deploying', 'awaiting_approval', 'escalated', 'canceling',
        'completed', 'failed', 'canceled', 'rejected'
    )),
    priority smallint NOT NULL CONSTRAINT tasks_priority_is_0_to_9 CHECK (priority BETWEEN 0 AND 9),
    attempt int NOT NULL DEFAULT 0,
    stage_attempt int NOT NULL DEFAULT 0,
    attempt_max int NOT NULL,
    timeout_seconds int NOT NULL,
    lease_token text,
    run_at timestamptz NOT NULL,
    deadline timestamptz,
    dispatched_at timestamptz,
    agent text,
    event_seq int NOT NULL,
    progress_seen int NOT NULL DEFAULT 0,
    cancel_reason text,
    error_code text,
    error_message text,
    usage_tokens bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}',
    input json NOT NULL,
    output json,
    traceparent text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT tasks_counters_are_sane CHECK (
        stage >= 0 AND stage_attempt >= 0 AND attempt >= stage_attempt AND event_seq >= 0 AND progress_seen >= 0
        AND usage_tokens >= 0 AND workflow_version > 0 AND attempt_max > 0 AND timeout_seconds > 0
    ),
    CONSTRAINT tasks_ended_when_terminal CHECK (
        (ended_at IS NOT NULL) = (state IN ('completed', 'failed', 'canceled', 'rejected'))
    ),
    -- Neither a queued nor an ended task can be reported on; any other always can, and always runs out.
    CONSTRAINT tasks_leased_while_underway CHECK (
        CASE WHEN state IN ('queued', 'completed', 'failed', 'canceled', 'rejected')
            THEN num_nonnulls(lease_token, dispatched_at, deadline) = 0
            ELSE num_nulls(lease_token, dispatched_at, deadline) = 0 AND attempt > 0
        END
    ),
    CONSTRAINT tasks_reason_fits_state CHECK (
        (state NOT IN ('canceling', 'canceled') OR cancel_reason IS NOT NULL)
        AND (state NOT IN ('failed', 'rejected') OR num_nulls(error_code, error_message) = 0)
        AND (state = 'completed' OR output IS NULL)
    )
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE tasks IS 'One row per accepted task, from acceptance to its one terminal state.';
COMMENT ON COLUMN tasks.attempt IS 'Fencing token over the whole task: a report of an older attempt changes nothing.';
COMMENT ON COLUMN tasks.event_seq IS 'Number of the last row in task_events; guards every update.';
COMMENT ON COLUMN tasks.usage_tokens IS 'Tokens reported by agents so far.';

-- One insert touches three of these four: a task is queued or in flight, never both.
CREATE INDEX tasks_dispatch ON tasks (role, tenant_id, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX tasks_in_flight ON tasks (deadline)
    WHERE state IN ('developing', 'testing', 'reviewing', 'deploying', 'canceling');
CREATE INDEX tasks_listing ON tasks (tenant_id, id DESC);

-- No foreign key to tasks: events are written in the transaction that holds the task's row, thousands a second.
CREATE TABLE task_events (
    task_id uuid NOT NULL,
    sequence int NOT NULL CONSTRAINT task_events_sequence_from_1 CHECK (sequence > 0),
    tenant_id text NOT NULL,
    kind text NOT NULL,
    attempt int NOT NULL,
    at timestamptz NOT NULL,
    data json NOT NULL,
    PRIMARY KEY (task_id, sequence)
);
COMMENT ON TABLE task_events IS 'The history of each task, append-only; sequence counts from 1 without gaps.';
CREATE TRIGGER task_events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON task_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('purgeable');

-- A row lives from its commit to the bus's acknowledgement, milliseconds: it is deleted, never updated.
CREATE TABLE outbox (
    message_id text PRIMARY KEY,
    subject text NOT NULL CONSTRAINT outbox_subject_is_concrete CHECK (subject <> '' AND subject !~ '[*>\s]'),
    payload json NOT NULL,
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE outbox IS 'Messages that are committed and not yet known to be published.';
CREATE INDEX outbox_age ON outbox (created_at);

CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL CONSTRAINT idempotency_keys_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    status int CONSTRAINT idempotency_keys_status_is_http CHECK (status BETWEEN 200 AND 599),
    location text,
    response json,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal, route, key),
    CONSTRAINT idempotency_keys_expire_later CHECK (expires_at > created_at)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE idempotency_keys IS 'What was answered under each Idempotency-Key; commits together with its effect.';
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE workflows (
    name text NOT NULL CONSTRAINT workflows_name_is_a_name CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    version int NOT NULL CONSTRAINT workflows_version_from_1 CHECK (version > 0),
    definition json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version)
);
COMMENT ON TABLE workflows IS 'Every version of every workflow that a task was ever accepted under.';

CREATE TABLE agents (
    id text PRIMARY KEY,
    roles text[] NOT NULL,
    slots int NOT NULL CONSTRAINT agents_slots_not_negative CHECK (slots >= 0),
    owner text NOT NULL,
    version text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE agents IS 'Agents that ever announced themselves. Who is present right now is counted in Redis.';

CREATE TABLE bus_streams (
    stream text PRIMARY KEY,
    created text NOT NULL,
    last_sequence bigint NOT NULL CONSTRAINT bus_streams_sequence_not_negative CHECK (last_sequence >= 0),
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE bus_streams IS
    'Which incarnation of each JetStream stream was last seen, to notice one that was wiped.';

-- Budgets, in tokens --------------------------------------------------------------------------------------------------

-- That usage and holds fit the limit is checked when a hold is made, not here: a limit may be lowered at any time.
CREATE TABLE budget_limits (
    tenant_id text NOT NULL,
    project_id text NOT NULL,
    total_limit bigint NOT NULL CONSTRAINT budget_limits_limit_not_negative CHECK (total_limit >= 0),
    current_usage bigint NOT NULL DEFAULT 0
        CONSTRAINT budget_limits_usage_not_negative CHECK (current_usage >= 0),
    reserved bigint NOT NULL DEFAULT 0 CONSTRAINT budget_limits_reserved_not_negative CHECK (reserved >= 0),
    overage bigint NOT NULL DEFAULT 0 CONSTRAINT budget_limits_overage_within_usage
        CHECK (overage BETWEEN 0 AND current_usage),
    blocked_at timestamptz,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, project_id),
    CONSTRAINT budget_limits_names_are_names CHECK (
        tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$' AND project_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'
    )
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE budget_limits IS
    'One account per tenant and project. A plain UPDATE of total_limit is allowed and booked.';
COMMENT ON COLUMN budget_limits.overage IS 'Part of current_usage that was booked above or after a reservation.';
COMMENT ON COLUMN budget_limits.blocked_at IS 'Set by an overage: no new reservations until the limit is raised.';
COMMENT ON COLUMN budget_limits.version IS 'Counts changes of the limit, for If-Match.';

-- No foreign key to budget_limits: it would lock the account's one hot row for every hold.
CREATE TABLE budget_reservations (
    tenant_id text NOT NULL,
    project_id text NOT NULL,
    request_id text NOT NULL CONSTRAINT budget_reservations_request_is_short
        CHECK (char_length(request_id) BETWEEN 1 AND 200),
    fingerprint bytea NOT NULL
        CONSTRAINT budget_reservations_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    principal text NOT NULL,
    task_id uuid,
    amount bigint NOT NULL CONSTRAINT budget_reservations_amount_positive CHECK (amount > 0),
    state text NOT NULL CONSTRAINT budget_reservations_state_is_known
        CHECK (state IN ('pending', 'committed', 'released', 'expired', 'denied')),
    actual bigint CONSTRAINT budget_reservations_actual_not_negative CHECK (actual >= 0),
    response json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, project_id, request_id),
    CONSTRAINT budget_reservations_settled_once CHECK ((settled_at IS NULL) = (state = 'pending')),
    -- Only a commit knows what was used; one that comes after expiry leaves the state and books all of it as overage.
    CONSTRAINT budget_reservations_actual_when_committed CHECK (
        CASE state WHEN 'committed' THEN actual IS NOT NULL WHEN 'expired' THEN true ELSE actual IS NULL END
    )
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE budget_reservations IS
    'Holds: pending, then committed, released or expired, once. A denial stays a denial.';
COMMENT ON COLUMN budget_reservations.response IS 'What the request was answered, and is answered again.';
CREATE INDEX budget_reservations_expiry ON budget_reservations (expires_at) WHERE state = 'pending';

CREATE TABLE budget_transactions (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    project_id text NOT NULL,
    kind text NOT NULL CONSTRAINT budget_transactions_kind_is_known
        CHECK (kind IN ('open', 'limit', 'reserve', 'commit', 'release', 'expire', 'overage', 'adjust')),
    request_id text,
    task_id uuid,
    limit_change bigint NOT NULL DEFAULT 0,
    usage_change bigint NOT NULL DEFAULT 0,
    reserved_change bigint NOT NULL DEFAULT 0,
    principal text NOT NULL,
    note text,
    timestamp timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT budget_transactions_names_its_request CHECK (
        (kind IN ('open', 'limit', 'adjust')) OR request_id IS NOT NULL
    )
);
COMMENT ON TABLE budget_transactions IS
    'The ledger, append-only: the sums of each account''s changes equal its total_limit, current_usage and reserved.';
CREATE INDEX budget_transactions_recent ON budget_transactions (tenant_id, timestamp DESC);
CREATE TRIGGER budget_transactions_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The runbook raises limits with a bare UPDATE; so the account itself counts the version and lifts the block. These
-- triggers fire only for statements that name total_limit, never on the path that reserves and settles.
CREATE FUNCTION note_limit_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    IF NEW.total_limit > OLD.total_limit THEN
        NEW.blocked_at := NULL;
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER budget_limits_note_change BEFORE UPDATE OF total_limit ON budget_limits
    FOR EACH ROW WHEN (NEW.total_limit <> OLD.total_limit) EXECUTE FUNCTION note_limit_change();

-- The principal is whoever the application says (SET LOCAL golden.principal), otherwise the database's user.
CREATE FUNCTION book_limit_change() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    who text := coalesce(nullif(current_setting('golden.principal', true), ''), session_user);
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO budget_transactions (
            tenant_id, project_id, kind, limit_change, usage_change, reserved_change, principal
        ) VALUES (NEW.tenant_id, NEW.project_id, 'open', NEW.total_limit, NEW.current_usage, NEW.reserved, who);
    ELSE
        INSERT INTO budget_transactions (tenant_id, project_id, kind, limit_change, principal)
        VALUES (NEW.tenant_id, NEW.project_id, 'limit', NEW.total_limit - OLD.total_limit, who);
    END IF;
    RETURN NULL;
END
$body$;
CREATE TRIGGER budget_limits_book_opening AFTER INSERT ON budget_limits
    FOR EACH ROW EXECUTE FUNCTION book_limit_change();
CREATE TRIGGER budget_limits_book_change AFTER UPDATE OF total_limit ON budget_limits
    FOR EACH ROW WHEN (NEW.total_limit <> OLD.total_limit) EXECUTE FUNCTION book_limit_change();

-- Dead letters --------------------------------------------------------------------------------------------------------

CREATE TABLE dlq_messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id text NOT NULL CONSTRAINT dlq_messages_filed_once UNIQUE,
    original_subject text NOT NULL,
    data text NOT NULL,
    data_encoding text NOT NULL DEFAULT 'utf8'
        CONSTRAINT dlq_messages_encoding_is_known CHECK (data_encoding IN ('utf8', 'base64')),
    headers jsonb NOT NULL DEFAULT '{}',
    tenant_id text,
    task_id uuid,
    reason text NOT NULL,
    error text,
    error_count int NOT NULL DEFAULT 1 CONSTRAINT dlq_messages_errors_not_negative CHECK (error_count >= 0),
    stream text,
    stream_sequence bigint,
    consumer text,
    first_seen timestamptz,
    last_seen timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    replay_count int NOT NULL DEFAULT 0 CONSTRAINT dlq_messages_replays_not_negative CHECK (replay_count >= 0),
    replayed_at timestamptz,
    resolved boolean NOT NULL DEFAULT false,
    resolved_at timestamptz,
    resolved_by text,
    resolution_notes text,
    history jsonb NOT NULL DEFAULT '[]' CONSTRAINT dlq_messages_history_is_a_list
        CHECK (jsonb_typeof(history) = 'array'),
    CONSTRAINT dlq_messages_resolved_at_a_time CHECK (resolved = (resolved_at IS NOT NULL)),
    CONSTRAINT dlq_messages_replayed_at_a_time CHECK ((replay_count > 0) = (replayed_at IS NOT NULL))
);
COMMENT ON TABLE dlq_messages IS 'Messages that no consumer could process, with what was done about them.';
COMMENT ON COLUMN dlq_messages.message_id IS 'The dead letter''s Nats-Msg-Id; filing it twice changes nothing.';
COMMENT ON COLUMN dlq_messages.data IS
    'The exact bytes: themselves when they are UTF-8 text without NUL, otherwise in base64 (see data_encoding).';
CREATE INDEX dlq_messages_unresolved ON dlq_messages (created_at DESC) WHERE NOT resolved;
CREATE INDEX dlq_messages_by_subject ON dlq_messages (original_subject, created_at DESC);

-- Audit ---------------------------------------------------------------------------------------------------------------

CREATE TABLE audit_head (
    tenant_id text PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0 CONSTRAINT audit_head_seq_not_negative CHECK (seq >= 0),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
        CONSTRAINT audit_head_hash_is_sha256 CHECK (octet_length(hash) = 32)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE audit_head IS 'The end of each tenant''s chain, locked by the transaction that appends to it.';

CREATE TABLE audit_log (
    tenant_id text NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    actor_role text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    outcome text NOT NULL CONSTRAINT audit_log_outcome_is_known CHECK (outcome IN ('allowed', 'denied', 'failed')),
    reason text,
    trace_id text,
    detail json NOT NULL DEFAULT '{}',
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, seq),
    CONSTRAINT audit_log_does_not_fork UNIQUE (tenant_id, prev_hash),
    CONSTRAINT audit_log_hashes_are_sha256 CHECK (octet_length(prev_hash) = 32 AND octet_length(hash) = 32),
    CONSTRAINT audit_log_starts_at_zero CHECK (
        seq > 0 AND (seq = 1) = (prev_hash = decode(repeat('00', 32), 'hex'))
    )
);
COMMENT ON TABLE audit_log IS
    'Who did what, append-only. Each row''s hash covers its fields, length-prefixed, and the hash before it.';
CREATE INDEX audit_log_recent ON audit_log (tenant_id, at DESC);
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO schema_migrations (version, name) VALUES (1, 'initial_schema');
END
$migration$;
COMMIT;
