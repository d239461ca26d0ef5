-- Takes 012 back: WHAT THE SUPERVISOR ASKED AND DECIDED IS FORGOTTEN, but not what became of the tasks. Make a backup
-- first.
--
-- One transaction; refused while a later migration is applied, and without effect when 012 is not applied.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 012 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 12) THEN
    RAISE NOTICE 'Migration 012 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 12;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 012. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

CREATE OR REPLACE FUNCTION approve_prompt_update(prompt int, approver text, notes text) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    taken agent_prompts := take_pending_prompt(prompt, approver);
    active int;
BEGIN
    IF lower(btrim(approver)) = lower(btrim(taken.proposed_by)) THEN
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
DROP FUNCTION prompt_owner(text);

DROP INDEX learning_patterns_alike;
-- Indexes and checks go with their columns.
UPDATE escalations SET status = 'open' WHERE status IN ('analyzing', 'waiting_for_human');
ALTER TABLE escalations
    ALTER COLUMN severity SET DEFAULT 'warning',
    DROP CONSTRAINT escalations_analyzed_by_somebody, DROP CONSTRAINT escalations_wait_for_a_reason,
    DROP CONSTRAINT escalations_asked_whole, DROP CONSTRAINT escalations_decided_whole,
    DROP COLUMN decision, DROP COLUMN decision_rule, DROP COLUMN decided_at, DROP COLUMN decision_published_at,
    DROP COLUMN human_reason, DROP COLUMN waiting_since,
    DROP COLUMN analysis_form, DROP COLUMN analysis_work, DROP COLUMN analysis_token, DROP COLUMN analysis_deadline,
    DROP COLUMN analysis_sent_at, DROP COLUMN analyst, DROP COLUMN analysis,
    DROP COLUMN signature, DROP COLUMN learned_at, DROP COLUMN counted_at;
DELETE FROM schema_migrations WHERE version = 12;
END
$migration$;
COMMIT;
