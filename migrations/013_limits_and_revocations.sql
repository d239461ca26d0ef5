-- 013: tasks that a limit on one of their labels holds back.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 12) THEN
    RAISE EXCEPTION 'Migration 013 builds on 012: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 13) THEN
    RAISE NOTICE 'Migration 013 is applied already; nothing was changed.';
    RETURN;
END IF;

ALTER TABLE tasks ADD COLUMN held_label text;
COMMENT ON COLUMN tasks.held_label IS
    'While queued: the label, name=value, of which as many tasks as may be are at work. Held back until one ends.';

-- What is held back is passed by: however much there is, the dispatcher does not see it.
DROP INDEX tasks_dispatch;
CREATE INDEX tasks_dispatch ON tasks (role, tenant_id, priority DESC, run_at, id)
    WHERE state = 'queued' AND held_label IS NULL;
CREATE INDEX tasks_held ON tasks (role, tenant_id, held_label, priority DESC, run_at, id)
    WHERE state = 'queued' AND held_label IS NOT NULL;

-- Whose tokens are refused before they expire. The tables of users and keys write it themselves, so that it does not
-- matter who disables or revokes.
CREATE TABLE token_revocations (
    tenant_id text NOT NULL,
    subject text NOT NULL,
    valid_after timestamptz,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, subject)
);
COMMENT ON TABLE token_revocations IS 'Whose tokens count no more: read by every replica, every two seconds.';
COMMENT ON COLUMN token_revocations.subject IS 'The sub of the tokens.';
COMMENT ON COLUMN token_revocations.valid_after IS 'Tokens issued after it count; null: none.';
CREATE INDEX token_revocations_recent ON token_revocations (changed_at);

CREATE FUNCTION revoke_tokens() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    who text := CASE TG_TABLE_NAME WHEN 'users' THEN to_jsonb(NEW) ->> 'name' ELSE 'key:' || (to_jsonb(NEW) ->> 'id') END;
    since timestamptz := NULL;
BEGIN
    -- Let in again: what was issued before they were disabled stays refused.
    IF TG_TABLE_NAME = 'users' AND (to_jsonb(NEW) ->> 'disabled_at') IS NULL THEN
        since := (to_jsonb(OLD) ->> 'disabled_at')::timestamptz;
    END IF;
    INSERT INTO token_revocations (tenant_id, subject, valid_after, changed_at)
    VALUES (NEW.tenant_id, who, since, clock_timestamp())
    ON CONFLICT (tenant_id, subject) DO UPDATE SET valid_after = since, changed_at = excluded.changed_at;
    RETURN NULL;
END
$body$;
CREATE TRIGGER users_revoke_tokens AFTER UPDATE OF disabled_at ON users
    FOR EACH ROW WHEN (OLD.disabled_at IS DISTINCT FROM NEW.disabled_at) EXECUTE FUNCTION revoke_tokens();
CREATE TRIGGER api_keys_revoke_tokens AFTER UPDATE OF revoked_at ON api_keys
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION revoke_tokens();
INSERT INTO token_revocations (tenant_id, subject, valid_after, changed_at)
SELECT tenant_id, name, NULL::timestamptz, clock_timestamp() FROM users WHERE disabled_at IS NOT NULL
UNION ALL
SELECT tenant_id, 'key:' || id, NULL, clock_timestamp() FROM api_keys WHERE revoked_at IS NOT NULL;

-- Each tenant's receivers are guarded and parked apart.
DROP INDEX webhook_deliveries_open;
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (tenant_id, host, state, due_at)
    WHERE state IN ('pending', 'parked');
COMMENT ON COLUMN webhook_deliveries.host IS 'Host and port: with the tenant, what its circuit breaker is named after.';

INSERT INTO schema_migrations (version, name) VALUES (13, 'limits_and_revocations');
END
$migration$;
COMMIT;
