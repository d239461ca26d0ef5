-- Takes 007 back: THE RATE LIMITS SET AT RUN TIME ARE LOST, and those of the start-up configuration count again.
--
-- One transaction; refused while a later migration is applied, and without effect when 007 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 007 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 7) THEN
    RAISE NOTICE 'Migration 007 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 7;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 007. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE rate_limits;
DELETE FROM schema_migrations WHERE version = 7;
END
$migration$;
COMMIT;
