-- Takes 019 back: nothing is lost, and texts that were refused can become active without a human again.
--
-- One transaction; refused while a later migration is applied, and without effect when 019 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 019 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 19) THEN
    RAISE NOTICE 'Migration 019 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 19;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 019. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

CREATE OR REPLACE FUNCTION propose_prompt_update(
    role_name text, new_content text, proposer text, base int, why text,
    OUT prompt_id int, OUT new_version int, OUT verdict text, OUT verdict_reason text
) LANGUAGE plpgsql AS $body$
DECLARE
    active int;
BEGIN
    IF coalesce(btrim(role_name), '') = '' OR coalesce(new_content, '') = '' OR coalesce(btrim(proposer), '') = '' THEN
        RAISE EXCEPTION 'A proposal names its role, its text and who proposes it. Nothing was changed.'
            USING ERRCODE = 'GP422';
    END IF;
    PERFORM lock_prompt_role(role_name);
    SELECT p.version INTO active FROM learning_governance g JOIN agent_prompts p ON p.id = g.active_prompt_id
    WHERE g.agent_role = role_name;
    active := coalesce(active, 0);
    IF base IS DISTINCT FROM active THEN
        RAISE EXCEPTION 'Version % of the % prompt is active, not %, the base of this one. Nothing was changed.',
            active, role_name, base USING ERRCODE = 'GP409';
    END IF;
    SELECT v.verdict, v.reason INTO verdict, verdict_reason FROM prompt_update_verdict(role_name) v;
    SELECT coalesce(max(version), 0) + 1 INTO new_version FROM agent_prompts WHERE agent_role = role_name;
    INSERT INTO agent_prompts (
        agent_role, version, base_version, content, reason, proposed_by, approval_status, decision_reason
    ) VALUES (role_name, new_version, active, new_content, why, proposer, verdict, verdict_reason)
    RETURNING id INTO prompt_id;
    IF verdict = 'auto_approved' THEN
        PERFORM switch_prompt(prompt_id, 'update', proposer, 'auto-approved');
    END IF;
END
$body$;
DROP FUNCTION is_refused_prompt(text, text);
DELETE FROM schema_migrations WHERE version = 19;
END
$migration$;
COMMIT;
