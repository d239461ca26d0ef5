-- 020: a run that an executor gives back when it shuts down has not lost it: only lost ones count against it.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 19) THEN
    RAISE EXCEPTION 'Migration 020 builds on 019: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 20) THEN
    RAISE NOTICE 'Migration 020 is applied already; nothing was changed.';
    RETURN;
END IF;

-- A default that is a constant: no row is rewritten. Nor is one read for the check, which would keep executors from
-- their leases meanwhile.
ALTER TABLE sandbox_executions ADD COLUMN lost int NOT NULL DEFAULT 0;
ALTER TABLE sandbox_executions ADD CONSTRAINT sandbox_executions_lost_not_negative CHECK (lost >= 0) NOT VALID;
COMMENT ON COLUMN sandbox_executions.lost IS 'How often its executor was lost; too often, and it is not begun again.';

INSERT INTO schema_migrations (version, name) VALUES (20, 'lost_executions');
END
$migration$;
COMMIT;
