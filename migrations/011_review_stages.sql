-- 011: work that waits for its peers: whose it is, and what reviews said of the prompts it was done by.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 10) THEN
    RAISE EXCEPTION 'Migration 011 builds on 010: run 010_workflow_stages.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 11) THEN
    RAISE NOTICE 'Migration 011 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Defaults that are constants: no row is rewritten, however many tasks there are.
ALTER TABLE tasks
    ADD COLUMN review_round int NOT NULL DEFAULT 0,
    ADD COLUMN draft_agent text,
    ADD COLUMN draft_role text,
    ADD COLUMN draft_attempt int,
    ADD COLUMN draft_prompt_version int;
ALTER TABLE tasks
    ADD CONSTRAINT tasks_review_round_counts CHECK (review_round >= 0) NOT VALID,
    ADD CONSTRAINT tasks_drafts_have_whole_authors CHECK (
        num_nonnulls(draft_agent, draft_role, draft_attempt) IN (0, 3)
        AND (draft_prompt_version IS NULL OR draft_agent IS NOT NULL)
    ) NOT VALID,
    -- The session's name is the lease's token; without its work nothing could be reviewed.
    ADD CONSTRAINT tasks_reviewed_work_is_somebodys CHECK (
        state <> 'reviewing' OR (draft IS NOT NULL AND draft_agent IS NOT NULL AND review_round > 0)
    ) NOT VALID;
COMMENT ON COLUMN tasks.review_round IS 'The number of its last review; each is one session.';
COMMENT ON COLUMN tasks.draft_agent IS 'Who made what was developed so far.';

-- For what reviews are waited for: the row is the outbox of its request.
CREATE INDEX tasks_under_review ON tasks (dispatched_at) WHERE state = 'reviewing';

CREATE TABLE prompt_reviews (
    session_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    attempt int NOT NULL,
    round int NOT NULL,
    agent_role text NOT NULL,
    prompt_version int NOT NULL CONSTRAINT prompt_reviews_version_from_1 CHECK (prompt_version > 0),
    decision text NOT NULL CONSTRAINT prompt_reviews_decision_is_known
        CHECK (decision IN ('approved', 'rejected', 'escalated')),
    sent_back bool NOT NULL CONSTRAINT prompt_reviews_only_refused_work_is_sent_back
        CHECK (decision = 'rejected' OR NOT sent_back),
    decided_at timestamptz NOT NULL
);
COMMENT ON TABLE prompt_reviews IS
    'What reviews said of work that was done by a version of a role''s prompt: so a harmful version shows.';
CREATE INDEX prompt_reviews_of_prompt ON prompt_reviews (agent_role, prompt_version, decided_at DESC);
CREATE TRIGGER prompt_reviews_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prompt_reviews
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('purgeable');

INSERT INTO schema_migrations (version, name) VALUES (11, 'review_stages');
END
$migration$;
COMMIT;
