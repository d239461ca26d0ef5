-- 009: one vote per seat of a review, and which decisions were announced.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 8) THEN
    RAISE EXCEPTION 'Migration 009 builds on 008: run 008_prompt_versions.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 9) THEN
    RAISE NOTICE 'Migration 009 is applied already; nothing was changed.';
    RETURN;
END IF;

-- A half of 0.0001 has five places.
ALTER TABLE peer_review_sessions
    ALTER COLUMN score TYPE numeric(10, 5),
    ADD COLUMN decision_published_at timestamptz;
COMMENT ON COLUMN peer_review_sessions.decision_published_at IS
    'When the bus had stored the decision; until then it is published again.';
CREATE INDEX peer_review_sessions_unpublished ON peer_review_sessions (decided_at)
    WHERE decided_at IS NOT NULL AND decision_published_at IS NULL AND status <> 'canceled';
CREATE INDEX peer_review_sessions_of_task ON peer_review_sessions (tenant_id, task_id, round);

-- Two agents of one role are one reviewer: whoever votes first has voted for it.
CREATE UNIQUE INDEX peer_votes_one_per_seat ON peer_votes (session_id, reviewer_role);

-- What was decided stays decided, and what was snapshotted stays as it was; that it was announced may be noted.
CREATE OR REPLACE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.status <> 'open' AND (NEW.status, NEW.score, NEW.explanation::text, NEW.decided_at, NEW.deadline)
        IS DISTINCT FROM (OLD.status, OLD.score, OLD.explanation::text, OLD.decided_at, OLD.deadline) THEN
        RAISE EXCEPTION 'Review session % is % already; nothing was changed.', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_decided_once',
                TABLE = 'peer_review_sessions';
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.task_id, NEW.attempt, NEW.round, NEW.author_agent, NEW.author_owner,
            NEW.artifact_sha256, NEW.quorum, NEW.weight_total, NEW.reviewers::text, NEW.opened_at)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.task_id, OLD.attempt, OLD.round, OLD.author_agent,
            OLD.author_owner, OLD.artifact_sha256, OLD.quorum, OLD.weight_total, OLD.reviewers::text,
            OLD.opened_at) THEN
        RAISE EXCEPTION 'Review session %: what was fixed at its opening cannot change; open another round.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_snapshot_is_fixed',
                TABLE = 'peer_review_sessions';
    END IF;
    RETURN NEW;
END
$body$;

INSERT INTO schema_migrations (version, name) VALUES (9, 'review_decisions');
END
$migration$;
COMMIT;
