-- Takes 018 back: nothing is lost; which replay settled a letter is written into the letter's history.
--
-- One transaction; refused while a later migration is applied, and without effect when 018 is not.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
DECLARE
    later int;
BEGIN
IF to_regclass('schema_migrations') IS NULL THEN
    RAISE NOTICE 'Migration 018 is not applied; nothing was changed.';
    RETURN;
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF NOT EXISTS (SELECT FROM schema_migrations WHERE version = 18) THEN
    RAISE NOTICE 'Migration 018 is not applied; nothing was changed.';
    RETURN;
END IF;
SELECT max(version) INTO later FROM schema_migrations WHERE version > 18;
IF later IS NOT NULL THEN
    RAISE EXCEPTION 'Migration % is still applied: take it back before 018. Nothing was changed.',
        lpad(later::text, 3, '0') USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;

DROP TRIGGER dlq_messages_filed ON dlq_messages;
DROP TRIGGER dlq_messages_changed ON dlq_messages;
DROP TRIGGER dlq_messages_deleted ON dlq_messages;
DROP TRIGGER dlq_messages_emptied ON dlq_messages;
DROP FUNCTION follow_dlq_messages();
DROP TABLE dlq_unresolved;
UPDATE dlq_messages SET history = history || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'at', resolved_at, 'what', resolution_notes, 'by', resolved_by,
    'message_id', CASE WHEN resolution_notes = 'replayed' THEN 'replay:' || id || ':' || replay_count END,
    'replay_id', replay_id
))) WHERE replay_id IS NOT NULL;
ALTER TABLE dlq_messages DROP COLUMN replay_id;
DROP INDEX dlq_messages_in_order;
ALTER TABLE dlq_messages RESET (fillfactor);
CREATE INDEX dlq_messages_unresolved ON dlq_messages (created_at DESC) WHERE NOT resolved;
CREATE INDEX dlq_messages_by_cause ON dlq_messages (cause, created_at) WHERE NOT resolved;
CREATE INDEX dlq_messages_for_replay ON dlq_messages (created_at, id) WHERE NOT resolved;
CREATE INDEX dlq_messages_resolved ON dlq_messages (resolved_at) WHERE resolved;
DELETE FROM schema_migrations WHERE version = 18;
END
$migration$;
COMMIT;
