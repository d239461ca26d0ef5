-- 017: what the release gate decided, for ever.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 16) THEN
    RAISE EXCEPTION 'Migration 017 builds on 016: run the ones before first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 17) THEN
    RAISE NOTICE 'Migration 017 is applied already; nothing was changed.';
    RETURN;
END IF;

-- The entry is kept as the very bytes whose hash the next entry names; what is asked for often is read out of them by
-- the database itself, so that the two cannot differ.
CREATE TABLE release_lineage (
    seq bigint PRIMARY KEY CONSTRAINT release_lineage_seq_from_zero CHECK (seq >= 0),
    entry json NOT NULL CONSTRAINT release_lineage_entry_is_small CHECK (octet_length(entry::text) <= 262144),
    sha256 text NOT NULL CONSTRAINT release_lineage_sha256_unique UNIQUE
        CONSTRAINT release_lineage_sha256_form CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    prev_sha256 text NOT NULL GENERATED ALWAYS AS (entry ->> 'previousSHA256') STORED
        CONSTRAINT release_lineage_never_forks UNIQUE,
    env text NOT NULL GENERATED ALWAYS AS (entry -> 'event' ->> 'environment') STORED,
    version text NOT NULL GENERATED ALWAYS AS (entry -> 'event' ->> 'version') STORED,
    type text NOT NULL GENERATED ALWAYS AS (entry -> 'event' ->> 'kind') STORED,
    actor text NOT NULL GENERATED ALWAYS AS (entry -> 'event' ->> 'actor') STORED,
    decision text GENERATED ALWAYS AS (entry -> 'event' ->> 'decision') STORED,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT release_lineage_seq_is_the_entrys CHECK ((entry ->> 'sequence')::bigint = seq),
    CONSTRAINT release_lineage_prev_form CHECK (prev_sha256 ~ '^[0-9a-f]{64}$')
);
COMMENT ON TABLE release_lineage IS
    'Every cut, step, decision, promotion, rollback and certificate of a release: a hash chain, append-only.';
COMMENT ON COLUMN release_lineage.entry IS 'The bytes that sha256 is the hash of.';
COMMENT ON COLUMN release_lineage.stored_at IS 'When the row was written; when it happened is in the entry.';
CREATE INDEX release_lineage_by_env ON release_lineage (env, seq);
CREATE INDEX release_lineage_by_version ON release_lineage (version, seq);

-- By its hash, so that a lineage entry names exactly what was judged. The database counts the hash again.
CREATE TABLE release_evidence (
    sha256 text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT release_evidence_kind_is_known CHECK (kind IN (
        'evidence', 'policy', 'attestation', 'approval', 'certificate', 'plan', 'state'
    )),
    document bytea NOT NULL CONSTRAINT release_evidence_is_small CHECK (octet_length(document) <= 8388608),
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT release_evidence_is_what_it_says CHECK (sha256 = encode(sha256(document), 'hex'))
);
COMMENT ON TABLE release_evidence IS
    'What lineage entries name by hash: evidence, policies, attestations, approvals, certificates. Append-only.';

CREATE TRIGGER release_lineage_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON release_lineage
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER release_evidence_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON release_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Not even the owner; a superuser, whom no grant binds, is stopped by the triggers.
REVOKE UPDATE, DELETE, TRUNCATE ON release_lineage, release_evidence FROM PUBLIC, CURRENT_USER;

INSERT INTO schema_migrations (version, name) VALUES (17, 'release_lineage');
END
$migration$;
COMMIT;
