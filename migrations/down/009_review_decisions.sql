-- Takes 009 back: which decisions were announced is forgotten, and scores are rounded to four places. Make a backup
-- first.
--
-- One transaction; refused while a later migration is applied, and without effect when 009 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 009 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 9) THEN
    RAISE NOTICE 'Migration 009 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 9;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 009. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

CREATE OR REPLACE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.status <> 'open' THEN
        RAISE EXCEPTION 'Review session % is % already; nothing was changed.', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_decided_once',
                TABLE = 'peer_review_sessions';
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.task_id, NEW.attempt, NEW.round, NEW.author_agent, NEW.author_owner,
            NEW.artifact_sha256, NEW.quorum, NEW.weight_total, NEW.reviewers::text)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.task_id, OLD.attempt, OLD.round, OLD.author_agent,
            OLD.author_owner, OLD.artifact_sha256, OLD.quorum, OLD.weight_total, OLD.reviewers::text) THEN
        RAISE EXCEPTION 'Review session %: what was fixed at its opening cannot change; open another round.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_snapshot_is_fixed',
                TABLE = 'peer_review_sessions';
    END IF;
    RETURN NEW;
END
$body$;

DROP INDEX peer_votes_one_per_seat, peer_review_sessions_unpublished, peer_review_sessions_of_task;
ALTER TABLE peer_review_sessions DROP COLUMN decision_published_at, ALTER COLUMN score TYPE numeric(9, 4);
DELETE FROM schema_migrations WHERE version = 9;
END
$migration$;
COMMIT;
