-- 018: dead letters that can be settled by the ten thousand: what changes of a letter stands in no index.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 17) THEN
    RAISE EXCEPTION 'Migration 018 builds on 017: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 18) THEN
    RAISE NOTICE 'Migration 018 is applied already; nothing was changed.';
    RETURN;
END IF;

-- Indexes that hold, or depend on, what settling changes make Postgres write every index of the row anew. Without them,
-- and with room beside it on its page, the row's next version costs no index anything.
DROP INDEX dlq_messages_unresolved, dlq_messages_by_cause, dlq_messages_for_replay, dlq_messages_resolved;
ALTER TABLE dlq_messages SET (fillfactor = 45);
CREATE INDEX dlq_messages_in_order ON dlq_messages (created_at, id);

ALTER TABLE dlq_messages ADD COLUMN replay_id uuid;
COMMENT ON COLUMN dlq_messages.replay_id IS
    'The replay that settled it: the last entry of its history, which is not written out for each of many thousands.';

-- What the partial indexes were for: the letters that somebody has to look at, however many were settled before.
CREATE TABLE dlq_unresolved (
    letter_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE dlq_unresolved IS 'Which letters are unresolved; follows dlq_messages, which says what is true.';
CREATE INDEX dlq_unresolved_in_order ON dlq_unresolved (created_at, letter_id);
INSERT INTO dlq_unresolved (letter_id, created_at) SELECT id, created_at FROM dlq_messages WHERE NOT resolved;

-- By index, however many rows: the plan is made once for all.
CREATE FUNCTION follow_dlq_messages() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $body$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM dlq_unresolved;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM dlq_unresolved u USING before b WHERE u.letter_id = b.id;
    ELSE
        IF TG_OP = 'UPDATE' THEN
            DELETE FROM dlq_unresolved u USING after a WHERE u.letter_id = a.id AND a.resolved;
        END IF;
        INSERT INTO dlq_unresolved AS u (letter_id, created_at)
        SELECT a.id, a.created_at FROM after a WHERE NOT a.resolved
        ON CONFLICT (letter_id) DO UPDATE SET created_at = EXCLUDED.created_at
            WHERE u.created_at <> EXCLUDED.created_at;
    END IF;
    RETURN NULL;
END
$body$;
CREATE TRIGGER dlq_messages_filed AFTER INSERT ON dlq_messages
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION follow_dlq_messages();
CREATE TRIGGER dlq_messages_changed AFTER UPDATE ON dlq_messages
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION follow_dlq_messages();
CREATE TRIGGER dlq_messages_deleted AFTER DELETE ON dlq_messages
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION follow_dlq_messages();
CREATE TRIGGER dlq_messages_emptied AFTER TRUNCATE ON dlq_messages
    FOR EACH STATEMENT EXECUTE FUNCTION follow_dlq_messages();

INSERT INTO schema_migrations (version, name) VALUES (18, 'settled_letters');
END
$migration$;
COMMIT;
