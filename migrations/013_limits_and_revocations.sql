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

INSERT INTO schema_migrations (version, name) VALUES (13, 'limits_and_revocations');
END
$migration$;
COMMIT;
