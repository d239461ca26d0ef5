-- 008: by which version of its role's prompt a task was worked on.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 7) THEN
    RAISE EXCEPTION 'Migration 008 builds on 007: run 007_rate_limits.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 8) THEN
    RAISE NOTICE 'Migration 008 is applied already; nothing was changed.';
    RETURN;
END IF;

ALTER TABLE tasks ADD COLUMN prompt_version int;
ALTER TABLE tasks ADD CONSTRAINT tasks_prompt_version_counts CHECK (prompt_version > 0) NOT VALID;
COMMENT ON COLUMN tasks.prompt_version IS
    'The version of the role''s prompt that the last attempt at the current stage was handed; null for none.';

-- For counting what became of a version's tasks, the newest first.
CREATE INDEX tasks_of_prompt ON tasks (role, prompt_version, id DESC) WHERE prompt_version IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (8, 'prompt_versions');
END
$migration$;
COMMIT;
