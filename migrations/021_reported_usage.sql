-- 021: the tokens that reviewers and analysts report to have used.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 20) THEN
    RAISE EXCEPTION 'Migration 021 builds on 020: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 21) THEN
    RAISE NOTICE 'Migration 021 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Defaults that are constants: no row is rewritten.
ALTER TABLE peer_review_sessions ADD COLUMN reported_usage json NOT NULL DEFAULT '{}';
ALTER TABLE peer_review_sessions ADD CONSTRAINT peer_review_sessions_usage_is_an_object
    CHECK (json_typeof(reported_usage) = 'object') NOT VALID;
COMMENT ON COLUMN peer_review_sessions.reported_usage IS
    'Tokens by seat and attempt, {"security.1": 1200}; their sum is the task''s once the session is decided.';
ALTER TABLE escalations ADD COLUMN analysis_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE escalations ADD CONSTRAINT escalations_analysis_tokens_not_negative
    CHECK (analysis_tokens >= 0) NOT VALID;
COMMENT ON COLUMN escalations.analysis_tokens IS
    'What the analyst reported to have used; the task''s once the escalation is resolved.';

INSERT INTO schema_migrations (version, name) VALUES (21, 'reported_usage');
END
$migration$;
COMMIT;
