-- 015: what was run in the sandbox, and what came of it.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 14) THEN
    RAISE EXCEPTION 'Migration 015 builds on 014: run 014_dead_letters.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 15) THEN
    RAISE NOTICE 'Migration 015 is applied already; nothing was changed.';
    RETURN;
END IF;

-- No foreign key to tasks: a task may be gone when its run is looked at.
CREATE TABLE sandbox_executions (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL
        CONSTRAINT sandbox_executions_tenant_is_a_name CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    caller text NOT NULL CONSTRAINT sandbox_executions_caller_is_short CHECK (octet_length(caller) BETWEEN 1 AND 200),
    task_id uuid,
    attempt int,
    language text NOT NULL,
    request json,
    request_sha256 bytea NOT NULL CONSTRAINT sandbox_executions_hash_length CHECK (octet_length(request_sha256) = 32),
    traceparent text,
    state text NOT NULL DEFAULT 'queued'
        CONSTRAINT sandbox_executions_state_is_known CHECK (state IN ('queued', 'running', 'ended')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries int NOT NULL DEFAULT 0 CONSTRAINT sandbox_executions_tries_not_negative CHECK (tries >= 0),
    executor text,
    lease_until timestamptz,
    started_at timestamptz,
    cancel_requested_at timestamptz,
    status text CONSTRAINT sandbox_executions_status_is_known CHECK (status IN (
        'ok', 'error', 'signal', 'timeout', 'cpu_limit', 'memory_limit', 'output_limit', 'canceled', 'sandbox_error'
    )),
    result json,
    pieces text,
    ended_at timestamptz,
    published_at timestamptz,
    CONSTRAINT sandbox_executions_running_has_a_lease CHECK (
        state <> 'running' OR num_nulls(executor, lease_until, started_at) = 0
    ),
    CONSTRAINT sandbox_executions_ended_has_one_result CHECK (
        num_nulls(status, result, ended_at) = CASE state WHEN 'ended' THEN 0 ELSE 3 END
    ),
    CONSTRAINT sandbox_executions_request_until_the_end CHECK ((request IS NULL) = (state = 'ended'))
);
COMMENT ON TABLE sandbox_executions IS 'Runs of programs in the sandbox: each has exactly one result.';
COMMENT ON COLUMN sandbox_executions.request IS 'The program, until it has ended.';
COMMENT ON COLUMN sandbox_executions.lease_until IS 'The executor extends it; a run whose lease is over is run again.';
COMMENT ON COLUMN sandbox_executions.pieces IS 'The sizes of the pieces in which the output was told.';
COMMENT ON COLUMN sandbox_executions.published_at IS 'When the bus had stored the result; until then it is published.';
CREATE INDEX sandbox_executions_waiting ON sandbox_executions (tenant_id, created_at) WHERE state = 'queued';
CREATE INDEX sandbox_executions_leases ON sandbox_executions (lease_until) WHERE state = 'running';
CREATE INDEX sandbox_executions_unpublished ON sandbox_executions (ended_at)
    WHERE state = 'ended' AND published_at IS NULL;
CREATE INDEX sandbox_executions_age ON sandbox_executions (ended_at) WHERE state = 'ended';

-- A result stays what it was, whoever comes late with another one.
CREATE FUNCTION keep_execution() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.state = 'ended' AND (NEW.state, NEW.status, NEW.result::text, NEW.pieces, NEW.ended_at)
        IS DISTINCT FROM (OLD.state, OLD.status, OLD.result::text, OLD.pieces, OLD.ended_at) THEN
        RAISE EXCEPTION 'Execution % has ended already; nothing was changed.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sandbox_executions_ended_once',
                TABLE = 'sandbox_executions';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER sandbox_executions_ended_once BEFORE UPDATE ON sandbox_executions
    FOR EACH ROW EXECUTE FUNCTION keep_execution();

INSERT INTO schema_migrations (version, name) VALUES (15, 'sandbox');
END
$migration$;
COMMIT;
