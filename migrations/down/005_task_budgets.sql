-- Takes 005 back: WHAT TASKS MAY USE IS FORGOTTEN, and what is held for them is given back. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 005 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 005 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 5) THEN
    RAISE NOTICE 'Migration 005 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 5;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 005. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

-- The orchestrator's sweeper books them as expired.
UPDATE budget_reservations SET expires_at = clock_timestamp() WHERE state = 'pending' AND request_id LIKE 'task:%';
DROP INDEX budget_reservations_settled;
ALTER TABLE tasks DROP COLUMN parent_id, DROP COLUMN budget_tokens, DROP COLUMN attempt_tokens;
DELETE FROM schema_migrations WHERE version = 5;
END
$migration$;
COMMIT;
