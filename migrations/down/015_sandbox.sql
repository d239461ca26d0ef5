-- Takes 015 back: EVERY RUN OF A PROGRAM AND ITS RESULT IS LOST. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 015 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 015 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 15) THEN
    RAISE NOTICE 'Migration 015 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 15;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 015. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE sandbox_executions;
DROP FUNCTION keep_execution();
DELETE FROM schema_migrations WHERE version = 15;
END
$migration$;
COMMIT;
