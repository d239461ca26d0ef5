-- Takes 014 back: WHICH REPLAYS THERE WERE IS FORGOTTEN; the dead letters stay. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 014 is not applied.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 014 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 14) THEN
    RAISE NOTICE 'Migration 014 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 14;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 014. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE dlq_replays;
DROP INDEX dlq_messages_by_cause, dlq_messages_for_replay, dlq_messages_resolved;
ALTER TABLE dlq_messages DROP COLUMN cause;
ALTER TABLE dlq_messages DROP COLUMN subject_family, DROP COLUMN fingerprint, DROP COLUMN answered_at;
DELETE FROM schema_migrations WHERE version = 14;
END
$migration$;
COMMIT;
