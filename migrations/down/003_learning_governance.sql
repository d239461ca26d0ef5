-- Takes 003 back: EVERY ESCALATION, PROMPT VERSION AND LEARNED PATTERN IS LOST. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 003 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 003 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 3) THEN
    RAISE NOTICE 'Migration 003 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 3;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 003. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP VIEW learning_stats;
DROP VIEW governance_status;
DROP FUNCTION propose_prompt_update(text, text, text, int, text);
DROP FUNCTION approve_prompt_update(int, text, text);
DROP FUNCTION reject_prompt_update(int, text, text);
DROP FUNCTION activate_prompt_version(int, text, text);
DROP FUNCTION take_pending_prompt(int, text);
DROP FUNCTION lock_prompt_role(text);
DROP FUNCTION switch_prompt(int, text, text, text);
DROP FUNCTION can_auto_update_prompt(text);
DROP FUNCTION prompt_update_verdict(text);
DROP TABLE escalations, learning_patterns, prompt_activations, learning_governance, agent_prompts;
DROP FUNCTION keep_prompt();
DELETE FROM schema_migrations WHERE version = 3;
END
$migration$;
COMMIT;
