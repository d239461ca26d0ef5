-- Takes 008 back: WHICH PROMPTS TASKS WERE WORKED ON BY IS FORGOTTEN. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 008 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 008 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 8) THEN
    RAISE NOTICE 'Migration 008 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 8;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 008. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

ALTER TABLE tasks DROP COLUMN prompt_version;
DELETE FROM schema_migrations WHERE version = 8;
END
$migration$;
COMMIT;
