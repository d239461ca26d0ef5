-- 005: what a task may use, and which task it is a part of.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 4) THEN
    RAISE EXCEPTION 'Migration 005 builds on 004: run 004_accounts.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 5) THEN
    RAISE NOTICE 'Migration 005 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Defaults that are constants: no row is rewritten, however many tasks there are.
ALTER TABLE tasks
    ADD COLUMN parent_id uuid,
    ADD COLUMN budget_tokens bigint,
    ADD COLUMN attempt_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD CONSTRAINT tasks_budget_is_sane CHECK (
    budget_tokens > 0 AND attempt_tokens BETWEEN 0 AND usage_tokens AND parent_id <> id
) NOT VALID;
COMMENT ON COLUMN tasks.parent_id IS 'The task that this one is a part of; its budget was taken out of that one''s.';
COMMENT ON COLUMN tasks.budget_tokens IS 'Tokens that agents may use, all attempts together; null when unlimited.';
COMMENT ON COLUMN tasks.attempt_tokens IS 'The part of usage_tokens that the current attempt has reported.';
CREATE INDEX tasks_parts ON tasks (parent_id, id DESC) WHERE parent_id IS NOT NULL;

-- For forgetting what was settled long ago.
CREATE INDEX budget_reservations_settled ON budget_reservations (settled_at) WHERE state <> 'pending';

INSERT INTO schema_migrations (version, name) VALUES (5, 'task_budgets');
END
$migration$;
COMMIT;
