-- Takes 016 back: when the empty seats of reviews were offered is forgotten. Reviews go on.
--
-- One transaction; refused while a later migration is applied, and without effect when 016 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 016 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 16) THEN
    RAISE NOTICE 'Migration 016 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 16;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 016. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP INDEX peer_review_sessions_open;
ALTER TABLE peer_review_sessions DROP COLUMN offers, DROP COLUMN offered_at;
DELETE FROM schema_migrations WHERE version = 16;
END
$migration$;
COMMIT;
