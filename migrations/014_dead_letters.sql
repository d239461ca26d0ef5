-- 014: dead letters by their cause, and replays that survive whoever carries them out.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 13) THEN
    RAISE EXCEPTION 'Migration 014 builds on 013: run 013_limits_and_revocations.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 14) THEN
    RAISE NOTICE 'Migration 014 is applied already; nothing was changed.';
    RETURN;
END IF;

ALTER TABLE dlq_messages
    ADD COLUMN subject_family text NOT NULL DEFAULT '',
    ADD COLUMN fingerprint text NOT NULL DEFAULT '',
    ADD COLUMN cause text NOT NULL GENERATED ALWAYS AS (
        left(md5(subject_family || E'\x1f' || reason || E'\x1f' || fingerprint), 12)
    ) STORED,
    ADD COLUMN answered_at timestamptz;
COMMENT ON COLUMN dlq_messages.subject_family IS 'The original subject with its ids replaced by *.';
COMMENT ON COLUMN dlq_messages.fingerprint IS 'The error with what differs from message to message taken out.';
COMMENT ON COLUMN dlq_messages.cause IS 'Alike letters share it: family, reason and fingerprint.';
COMMENT ON COLUMN dlq_messages.answered_at IS 'When a policy replayed it by itself, which it does once.';
CREATE INDEX dlq_messages_by_cause ON dlq_messages (cause, created_at) WHERE NOT resolved;
CREATE INDEX dlq_messages_for_replay ON dlq_messages (created_at, id) WHERE NOT resolved;
CREATE INDEX dlq_messages_resolved ON dlq_messages (resolved_at) WHERE resolved;

CREATE TABLE dlq_replays (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    filter json NOT NULL,
    payload text,
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT dlq_replays_state_is_known CHECK (state IN ('running', 'stopped', 'done')),
    rate int NOT NULL CONSTRAINT dlq_replays_rate_is_positive CHECK (rate > 0),
    requested_by text NOT NULL,
    note text,
    -- Letters filed later are not meant: they may be what the replay itself brings about.
    created_at timestamptz NOT NULL,
    total bigint NOT NULL CONSTRAINT dlq_replays_total_not_negative CHECK (total >= 0),
    replayed bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    -- The last letter that was looked at; it goes on behind it.
    after_created_at timestamptz,
    after_id uuid,
    version int NOT NULL DEFAULT 1,
    -- Counts who had it in hand: a worker that lost it writes no more.
    fence int NOT NULL DEFAULT 0,
    leased_until timestamptz,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT dlq_replays_end_at_a_time CHECK ((state = 'done') = (ended_at IS NOT NULL)),
    CONSTRAINT dlq_replays_counts_not_negative CHECK (replayed >= 0 AND skipped >= 0),
    CONSTRAINT dlq_replays_place_is_whole CHECK (num_nonnulls(after_created_at, after_id) <> 1)
);
COMMENT ON TABLE dlq_replays IS 'Replays of dead letters: who asked for which, how far each has come.';
COMMENT ON COLUMN dlq_replays.payload IS 'Sent instead of what was filed, which is kept.';
CREATE INDEX dlq_replays_running ON dlq_replays (created_at) WHERE state = 'running';
CREATE INDEX dlq_replays_by_tenant ON dlq_replays (tenant_id, created_at DESC);

INSERT INTO schema_migrations (version, name) VALUES (14, 'dead_letters');
END
$migration$;
COMMIT;
