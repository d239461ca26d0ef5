-- Takes 004 back: EVERY USER, API KEY AND SIGNING KEY IS LOST. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 004 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 004 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 4) THEN
    RAISE NOTICE 'Migration 004 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 4;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 004. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE login_attempts, signing_keys, api_keys, users;
DELETE FROM schema_migrations WHERE version = 4;
END
$migration$;
COMMIT;
