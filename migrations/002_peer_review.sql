-- 002: the tables of the peer hub.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 1) THEN
    RAISE EXCEPTION 'Migration 002 builds on 001: run 001_initial_schema.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 2) THEN
    RAISE NOTICE 'Migration 002 is applied already; nothing was changed.';
    RETURN;
END IF;

-- One session is one round of review of one artifact. Rework opens the next round as a session of its own.
CREATE TABLE peer_review_sessions (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    task_id uuid NOT NULL,
    attempt int NOT NULL CONSTRAINT peer_review_sessions_attempt_positive CHECK (attempt > 0),
    round int NOT NULL CONSTRAINT peer_review_sessions_round_from_1 CHECK (round > 0),
    author_agent text NOT NULL,
    author_owner text NOT NULL,
    artifact_sha256 bytea NOT NULL
        CONSTRAINT peer_review_sessions_artifact_is_sha256 CHECK (octet_length(artifact_sha256) = 32),
    quorum numeric(5, 4) NOT NULL DEFAULT 0.75
        CONSTRAINT peer_review_sessions_quorum_is_a_share CHECK (quorum > 0 AND quorum <= 1),
    reviewers json NOT NULL CONSTRAINT peer_review_sessions_reviewers_are_a_list
        CHECK (json_typeof(reviewers) = 'array'),
    weight_total numeric(9, 4) NOT NULL CONSTRAINT peer_review_sessions_weight_positive CHECK (weight_total > 0),
    status text NOT NULL DEFAULT 'open' CONSTRAINT peer_review_sessions_status_is_known
        CHECK (status IN ('open', 'approved', 'rejected', 'escalated', 'canceled')),
    score numeric(9, 4),
    explanation json,
    traceparent text,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deadline timestamptz NOT NULL,
    decided_at timestamptz,
    CONSTRAINT peer_review_sessions_one_per_round UNIQUE (task_id, round),
    CONSTRAINT peer_review_sessions_artifact_of_session UNIQUE (id, artifact_sha256),
    CONSTRAINT peer_review_sessions_decided_once CHECK ((status = 'open') = (decided_at IS NULL)),
    CONSTRAINT peer_review_sessions_decisions_are_explained CHECK (
        status NOT IN ('approved', 'rejected', 'escalated') OR num_nulls(score, explanation) = 0
    )
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE peer_review_sessions IS
    'Rounds of review: who may vote with what weight, until when, and what came of it.';
COMMENT ON COLUMN peer_review_sessions.reviewers IS
    'Snapshot of roles and weights at the opening; the quorum is measured against their sum, weight_total.';
COMMENT ON COLUMN peer_review_sessions.explanation IS
    'Score, each contribution, what was missing, and who could have passed it alone: a pure function of the votes.';
CREATE INDEX peer_review_sessions_due ON peer_review_sessions (deadline) WHERE status = 'open';
CREATE INDEX peer_review_sessions_listing ON peer_review_sessions (tenant_id, id DESC);

CREATE TABLE peer_votes (
    session_id uuid NOT NULL,
    reviewer text NOT NULL,
    reviewer_owner text NOT NULL,
    reviewer_role text NOT NULL,
    vote text NOT NULL CONSTRAINT peer_votes_vote_is_known
        CHECK (vote IN ('approve', 'conditional', 'reject', 'abstain')),
    weight numeric(9, 4) NOT NULL CONSTRAINT peer_votes_weight_not_negative CHECK (weight >= 0),
    artifact_sha256 bytea NOT NULL,
    comment text,
    conditions json,
    message_id text,
    voted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, reviewer),
    -- A vote on another artifact than the session's is no vote.
    CONSTRAINT peer_votes_bound_to_artifact FOREIGN KEY (session_id, artifact_sha256)
        REFERENCES peer_review_sessions (id, artifact_sha256)
);
COMMENT ON TABLE peer_votes IS 'One immutable vote per reviewer and session.';
CREATE TRIGGER peer_votes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON peer_votes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('purgeable');

-- The session's row is locked: a vote and a decision wait for each other, so that whoever decides reads every vote that
-- was accepted. Not FOR SHARE, because two voters that then both decide would wait for each other.
CREATE FUNCTION check_vote() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    session peer_review_sessions;
BEGIN
    SELECT * INTO session FROM peer_review_sessions WHERE id = NEW.session_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NEW; -- The foreign key refuses it.
    END IF;
    IF session.status <> 'open' THEN
        RAISE EXCEPTION 'Review session % is % already; the vote was not counted.', NEW.session_id, session.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_votes_while_open', TABLE = 'peer_votes';
    END IF;
    IF NEW.reviewer = session.author_agent OR NEW.reviewer_owner = session.author_owner THEN
        RAISE EXCEPTION 'Nobody votes on their own or their owner''s work; the vote was not counted.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_votes_not_by_author', TABLE = 'peer_votes';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER peer_votes_check BEFORE INSERT ON peer_votes FOR EACH ROW EXECUTE FUNCTION check_vote();

-- What was decided stays decided, and what was snapshotted stays as it was.
CREATE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.status <> 'open' THEN
        RAISE EXCEPTION 'Review session % is % already; nothing was changed.', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_decided_once',
                TABLE = 'peer_review_sessions';
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.task_id, NEW.attempt, NEW.round, NEW.author_agent, NEW.author_owner,
            NEW.artifact_sha256, NEW.quorum, NEW.weight_total, NEW.reviewers::text)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.task_id, OLD.attempt, OLD.round, OLD.author_agent,
            OLD.author_owner, OLD.artifact_sha256, OLD.quorum, OLD.weight_total, OLD.reviewers::text) THEN
        RAISE EXCEPTION 'Review session %: what was fixed at its opening cannot change; open another round.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'peer_review_sessions_snapshot_is_fixed',
                TABLE = 'peer_review_sessions';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER peer_review_sessions_keep BEFORE UPDATE ON peer_review_sessions
    FOR EACH ROW EXECUTE FUNCTION keep_session();

INSERT INTO schema_migrations (version, name) VALUES (2, 'peer_review');
END
$migration$;
COMMIT;
