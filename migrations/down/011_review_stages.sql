-- Takes 011 back: WHAT REVIEWS SAID OF PROMPTS IS FORGOTTEN, and whose drafts are whose. Make a backup first.
--
-- One transaction; refused while a later migration is applied or a task is under review, and without effect when 011 is
-- not applied.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
    needed bigint;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 011 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 11) THEN
    RAISE NOTICE 'Migration 011 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 11;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 011. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
SELECT count(*) INTO needed FROM tasks WHERE ended_at IS NULL AND review_round > 0;
IF needed > 0 THEN
    RAISE EXCEPTION '% tasks with reviews have not ended: let them end or cancel them. Nothing was changed.', needed
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE prompt_reviews;
DROP INDEX tasks_under_review;
ALTER TABLE tasks DROP COLUMN review_round, DROP COLUMN draft_agent, DROP COLUMN draft_role, DROP COLUMN draft_attempt,
    DROP COLUMN draft_prompt_version;
DELETE FROM schema_migrations WHERE version = 11;
END
$migration$;
COMMIT;
