-- 010: tenants' own workflows, and what tasks keep while their work is judged.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 9) THEN
    RAISE EXCEPTION 'Migration 010 builds on 009: run 009_review_decisions.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 10) THEN
    RAISE NOTICE 'Migration 010 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Nothing has written to this table before.
DELETE FROM workflows;
ALTER TABLE workflows
    ADD COLUMN tenant_id text NOT NULL,
    ADD COLUMN created_by text NOT NULL,
    DROP CONSTRAINT workflows_pkey,
    ADD PRIMARY KEY (tenant_id, name, version);
COMMENT ON TABLE workflows IS
    'Every version of every tenant''s own workflows, append-only: a task keeps the version it was accepted under.';
CREATE TRIGGER workflows_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON workflows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('purgeable');

-- Defaults that are constants: no row is rewritten, however many tasks there are.
ALTER TABLE tasks
    ADD COLUMN rework int NOT NULL DEFAULT 0,
    ADD COLUMN plan json,
    ADD COLUMN draft json;
ALTER TABLE tasks
    ADD CONSTRAINT tasks_rework_is_bounded CHECK (rework BETWEEN 0 AND 3) NOT VALID,
    ADD CONSTRAINT tasks_keep_drafts_until_ended CHECK (ended_at IS NULL OR num_nonnulls(plan, draft) = 0) NOT VALID;
COMMENT ON COLUMN tasks.rework IS 'How often the work was sent back by itself.';
COMMENT ON COLUMN tasks.plan IS 'What the next attempts are asked to do about the ones before.';
COMMENT ON COLUMN tasks.draft IS 'What was developed so far; becomes the output when the task completes with it.';

-- For the deadlines of tasks that nobody works on.
CREATE INDEX tasks_waiting ON tasks (deadline) WHERE state IN ('awaiting_approval', 'escalated');

INSERT INTO schema_migrations (version, name) VALUES (10, 'workflow_stages');
END
$migration$;
COMMIT;
