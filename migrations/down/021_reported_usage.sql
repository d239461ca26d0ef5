-- Takes 021 back: what reviewers and analysts used, and is not added to their tasks yet, is forgotten.
--
-- One transaction; refused while a later migration is applied, and without effect when 021 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 021 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 21) THEN
    RAISE NOTICE 'Migration 021 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 21;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 021. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

ALTER TABLE peer_review_sessions DROP COLUMN reported_usage;
ALTER TABLE escalations DROP COLUMN analysis_tokens;
DELETE FROM schema_migrations WHERE version = 21;
END
$migration$;
COMMIT;
