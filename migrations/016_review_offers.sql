-- 016: how often the empty seats of a review were offered, and when.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 15) THEN
    RAISE EXCEPTION 'Migration 016 builds on 015: run 015_sandbox.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 16) THEN
    RAISE NOTICE 'Migration 016 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Defaults that are constants: no row is rewritten. The first offer is the opening.
ALTER TABLE peer_review_sessions
    ADD COLUMN offers int NOT NULL DEFAULT 1,
    ADD COLUMN offered_at timestamptz;
ALTER TABLE peer_review_sessions
    ADD CONSTRAINT peer_review_sessions_offers_from_1 CHECK (offers > 0) NOT VALID;
COMMENT ON COLUMN peer_review_sessions.offers IS
    'How often the work of seats that had not voted was handed out: at the opening, and when nobody seemed to do it.';
COMMENT ON COLUMN peer_review_sessions.offered_at IS 'The last time after the opening.';
CREATE INDEX peer_review_sessions_open ON peer_review_sessions (id) WHERE status = 'open';

INSERT INTO schema_migrations (version, name) VALUES (16, 'review_offers');
END
$migration$;
COMMIT;
