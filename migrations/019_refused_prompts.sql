-- 019: a text that was rejected, or rolled back from, does not become active without a human again.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 18) THEN
    RAISE EXCEPTION 'Migration 019 builds on 018: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 19) THEN
    RAISE NOTICE 'Migration 019 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Whether a version of the role with this very text was rejected or rolled back from. A rollback also refuses the
-- versions that it goes past: who goes back from 3 to 1 does not want 2 either.
CREATE FUNCTION is_refused_prompt(role_name text, new_content text) RETURNS boolean LANGUAGE sql AS $body$
    SELECT EXISTS (
        SELECT FROM agent_prompts p
        WHERE p.agent_role = role_name AND p.content_sha256 = sha256(convert_to(new_content, 'UTF8')) AND (
            p.approval_status = 'rejected' OR EXISTS (
                SELECT FROM prompt_activations a
                JOIN agent_prompts source ON source.id = a.previous_prompt_id
                JOIN agent_prompts target ON target.id = a.prompt_id
                WHERE a.agent_role = role_name AND a.kind = 'rollback' AND (
                    p.id = source.id OR (
                        p.approval_status IN ('approved', 'auto_approved')
                        AND p.version > target.version AND p.version < source.version
                    )
                )
            )
        )
    )
$body$;

-- As 003 has it, but for texts that were refused before.
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
    IF is_refused_prompt(role_name, new_content) THEN
        verdict := 'pending_review'; verdict_reason := 'refused_before';
    END IF;
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

INSERT INTO schema_migrations (version, name) VALUES (19, 'refused_prompts');
END
$migration$;
COMMIT;
