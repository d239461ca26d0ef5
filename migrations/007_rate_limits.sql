-- 007: the rate limits that were set at run time, every version of them.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 6) THEN
    RAISE EXCEPTION 'Migration 007 builds on 006: run 006_webhooks.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 7) THEN
    RAISE NOTICE 'Migration 007 is applied already; nothing was changed.';
    RETURN;
END IF;

-- The newest row counts. Versions follow each other without a gap, so that of two changes to one version one is kept.
CREATE TABLE rate_limits (
    version int PRIMARY KEY CONSTRAINT rate_limits_version_counts CHECK (version > 0),
    document json NOT NULL CONSTRAINT rate_limits_document_is_an_object CHECK (json_typeof(document) = 'object'),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE rate_limits IS
    'Limits set at run time, which replace those of the start-up configuration; without a row the latter count.';
COMMENT ON COLUMN rate_limits.changed_by IS 'The tenant and the subject of the token it was set with.';

INSERT INTO schema_migrations (version, name) VALUES (7, 'rate_limits');
END
$migration$;
COMMIT;
