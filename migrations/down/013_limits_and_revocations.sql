-- Takes 013 back: nothing is lost, what is held back stands in line with the others again.
--
-- One transaction; refused while a later migration is applied, and without effect when 013 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 013 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 13) THEN
    RAISE NOTICE 'Migration 013 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 13;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 013. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP INDEX tasks_held;
DROP INDEX tasks_dispatch;
ALTER TABLE tasks DROP COLUMN held_label;
CREATE INDEX tasks_dispatch ON tasks (role, tenant_id, priority DESC, run_at, id) WHERE state = 'queued';
DROP TRIGGER users_revoke_tokens ON users;
DROP TRIGGER api_keys_revoke_tokens ON api_keys;
DROP FUNCTION revoke_tokens();
DROP TABLE token_revocations;
DROP INDEX webhook_deliveries_open;
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (host, state, due_at) WHERE state IN ('pending', 'parked');
COMMENT ON COLUMN webhook_deliveries.host IS 'Host and port: what its circuit breaker is named after.';
DELETE FROM schema_migrations WHERE version = 13;
END
$migration$;
COMMIT;
