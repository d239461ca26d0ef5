-- 012: what the supervisor decides and asks about escalations, what it learns, and who somebody's API keys are.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 11) THEN
    RAISE EXCEPTION 'Migration 012 builds on 011: run the migration before it first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 12) THEN
    RAISE NOTICE 'Migration 012 is applied already; nothing was changed.';
    RETURN;
END IF;

ALTER TABLE escalations
    ALTER COLUMN severity SET DEFAULT 'info',
    ADD COLUMN decision json,
    ADD COLUMN decision_rule text,
    ADD COLUMN decided_at timestamptz,
    ADD COLUMN decision_published_at timestamptz,
    ADD COLUMN human_reason text,
    ADD COLUMN waiting_since timestamptz,
    ADD COLUMN analysis_form text CONSTRAINT escalations_analysis_form_is_known
        CHECK (analysis_form IN ('synthesis', 'consensus')),
    ADD COLUMN analysis_work uuid,
    ADD COLUMN analysis_token text,
    ADD COLUMN analysis_deadline timestamptz,
    ADD COLUMN analysis_sent_at timestamptz,
    ADD COLUMN analyst text,
    ADD COLUMN analysis json,
    ADD COLUMN signature text CONSTRAINT escalations_signature_is_short
        CHECK (char_length(signature) BETWEEN 1 AND 200),
    ADD COLUMN learned_at timestamptz,
    ADD COLUMN counted_at timestamptz,
    ADD CONSTRAINT escalations_decided_whole
        CHECK (num_nonnulls(decision, decision_rule, decided_at) IN (0, 3)),
    ADD CONSTRAINT escalations_asked_whole
        CHECK (num_nonnulls(analysis_form, analysis_work, analysis_token, analysis_deadline) IN (0, 4)),
    ADD CONSTRAINT escalations_analyzed_by_somebody CHECK (status <> 'analyzing' OR analysis_work IS NOT NULL),
    ADD CONSTRAINT escalations_wait_for_a_reason
        CHECK (status <> 'waiting_for_human' OR num_nulls(human_reason, waiting_since) = 0);
COMMENT ON COLUMN escalations.decision IS
    'What the supervisor decided. It is carried out by who owns the task, which sets resolution; until then said again.';
COMMENT ON COLUMN escalations.human_reason IS 'Why a human has to decide.';
COMMENT ON COLUMN escalations.analysis_token IS 'Comes back with the answer of the agent that was asked.';
COMMENT ON COLUMN escalations.signature IS 'What like failures of one role have in common.';
COMMENT ON COLUMN escalations.learned_at IS 'When it was looked at for patterns.';
COMMENT ON COLUMN escalations.counted_at IS 'When its resolution was counted in metrics.';

-- What is over was counted by nobody, and is not counted late.
UPDATE escalations SET counted_at = resolved_at WHERE status = 'resolved';

CREATE INDEX escalations_uncounted ON escalations (resolved_at) WHERE status = 'resolved' AND counted_at IS NULL;
CREATE INDEX escalations_unlearned ON escalations (agent_role, signature)
    WHERE signature IS NOT NULL AND learned_at IS NULL;
CREATE INDEX escalations_alike ON escalations (agent_role, signature, created_at) WHERE signature IS NOT NULL;
CREATE INDEX learning_patterns_alike ON learning_patterns (agent_role, signature, id DESC);

-- Who somebody is, for the question of who approves whose work: an API key stands for whoever had it made, through as
-- many keys as it takes. Without regard to case and to the space around names, and a user is the same in each tenant.
CREATE FUNCTION prompt_owner(who text) RETURNS text LANGUAGE sql STABLE AS $body$
    WITH RECURSIVE maker AS (
        SELECT btrim(who) AS name, 0 AS depth
        UNION ALL
        SELECT btrim(k.created_by), m.depth + 1 FROM maker m JOIN api_keys k ON m.name = 'key:' || k.id
        WHERE m.depth < 100
    )
    SELECT lower(name) FROM maker ORDER BY depth DESC LIMIT 1
$body$;

-- As 003 has it, but for whom it takes for the same.
CREATE OR REPLACE FUNCTION approve_prompt_update(prompt int, approver text, notes text) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    taken agent_prompts := take_pending_prompt(prompt, approver);
    active int;
BEGIN
    IF prompt_owner(approver) = prompt_owner(taken.proposed_by) THEN
        RAISE EXCEPTION 'Prompt % was proposed by %, who cannot approve it. Nothing was changed.', prompt, approver
            USING ERRCODE = 'GP403';
    END IF;
    SELECT p.version INTO active FROM learning_governance g JOIN agent_prompts p ON p.id = g.active_prompt_id
    WHERE g.agent_role = taken.agent_role;
    active := coalesce(active, 0);
    IF taken.base_version <> active THEN
        RAISE EXCEPTION 'Prompt % is based on version %, but % is active by now. Reject it; nothing was changed.',
            prompt, taken.base_version, active USING ERRCODE = 'GP409';
    END IF;
    UPDATE agent_prompts SET approval_status = 'approved', reviewed_by = approver, review_notes = notes,
        reviewed_at = clock_timestamp() WHERE id = prompt;
    PERFORM switch_prompt(prompt, 'update', approver, notes);
    RETURN true;
END
$body$;

INSERT INTO schema_migrations (version, name) VALUES (12, 'supervisor');
END
$migration$;
COMMIT;
