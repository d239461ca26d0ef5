-- Takes 001 back: EVERY TASK, BUDGET, DEAD LETTER AND AUDIT ROW IS LOST. Make a backup first.
--
-- One transaction; refused while a later migration is applied, and without effect when 001 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 001 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 1) THEN
    RAISE NOTICE 'Migration 001 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 1;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 001. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TABLE audit_log, audit_head, dlq_messages, budget_transactions, budget_reservations, budget_limits, bus_streams,
    agents, workflows, idempotency_keys, outbox, task_events, tasks;
DROP FUNCTION book_limit_change();
DROP FUNCTION note_limit_change();
DROP FUNCTION refuse_change();
DELETE FROM schema_migrations WHERE version = 1;
END
$migration$;
COMMIT;
