-- 006: webhooks: who wants to hear of what, and what was sent to whom.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
--
-- A delivery is committed by the statement that commits its event, so that neither exists without the other. Secrets
-- stand here sealed under the installation's own secret, which is not in the database.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 5) THEN
    RAISE EXCEPTION 'Migration 006 builds on 005: run that first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 6) THEN
    RAISE NOTICE 'Migration 006 is applied already; nothing was changed.';
    RETURN;
END IF;

ALTER TABLE tasks ADD COLUMN callback_url text CONSTRAINT tasks_callback_is_short
    CHECK (octet_length(callback_url) BETWEEN 1 AND 2048);
COMMENT ON COLUMN tasks.callback_url IS 'Where the last event of the task is sent.';

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL CONSTRAINT webhooks_tenant_is_a_name CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    kind text NOT NULL CONSTRAINT webhooks_kind_is_known CHECK (kind IN ('subscription', 'callback')),
    url text CONSTRAINT webhooks_url_is_short CHECK (octet_length(url) BETWEEN 1 AND 2048),
    host text,
    events text[] NOT NULL,
    description text CONSTRAINT webhooks_description_is_short CHECK (char_length(description) BETWEEN 1 AND 200),
    state text NOT NULL CONSTRAINT webhooks_state_is_known CHECK (state IN ('active', 'disabled')),
    disabled_reason text,
    disabled_at timestamptz,
    secret_sealed bytea NOT NULL,
    previous_sealed bytea,
    previous_until timestamptz,
    secret_changed_at timestamptz NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT webhooks_subscription_says_where_and_what CHECK (
        CASE kind WHEN 'subscription' THEN num_nulls(url, host) = 0 AND cardinality(events) > 0
            ELSE num_nonnulls(url, host) = 0 AND cardinality(events) = 0 AND state = 'active'
        END
    ),
    CONSTRAINT webhooks_disabled_with_reason CHECK (
        num_nulls(disabled_reason, disabled_at) = CASE state WHEN 'disabled' THEN 0 ELSE 2 END
    ),
    CONSTRAINT webhooks_previous_secret_ends CHECK ((previous_sealed IS NULL) = (previous_until IS NULL))
);
COMMENT ON TABLE webhooks IS
    'Standing subscriptions to events; and one row per tenant for the secret that signs its tasks'' callbacks.';
COMMENT ON COLUMN webhooks.secret_sealed IS 'AES-256-GCM under a key derived from the installation''s secret.';
COMMENT ON COLUMN webhooks.previous_until IS 'Until then deliveries carry a signature with the secret before, too.';
CREATE INDEX webhooks_listing ON webhooks (tenant_id, id);
CREATE UNIQUE INDEX webhooks_one_callback_secret ON webhooks (tenant_id) WHERE kind = 'callback';

-- No foreign keys: rows are written in the transaction that holds the task's row, and outlive what they tell of.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    webhook_id uuid,
    task_id uuid NOT NULL,
    sequence int NOT NULL,
    kind text NOT NULL,
    url text NOT NULL,
    host text NOT NULL,
    state text NOT NULL CONSTRAINT webhook_deliveries_state_is_known
        CHECK (state IN ('pending', 'parked', 'delivered', 'failed')),
    attempts int NOT NULL DEFAULT 0 CONSTRAINT webhook_deliveries_attempts_not_negative CHECK (attempts >= 0),
    due_at timestamptz NOT NULL,
    lease uuid,
    status int,
    error text,
    response text,
    duration_ms bigint,
    attempted_at timestamptz,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT webhook_deliveries_one_per_event UNIQUE NULLS NOT DISTINCT (task_id, sequence, webhook_id),
    CONSTRAINT webhook_deliveries_ended_when_over CHECK ((ended_at IS NOT NULL) = (state IN ('delivered', 'failed'))),
    CONSTRAINT webhook_deliveries_leased_while_pending CHECK (lease IS NULL OR state = 'pending')
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE webhook_deliveries IS 'One row for each event and each receiver that wants it.';
COMMENT ON COLUMN webhook_deliveries.id IS 'The webhook-id of every attempt.';
COMMENT ON COLUMN webhook_deliveries.webhook_id IS 'Null: the task''s own callback.';
COMMENT ON COLUMN webhook_deliveries.host IS 'Host and port: what its circuit breaker is named after.';
COMMENT ON COLUMN webhook_deliveries.due_at IS
    'The next attempt is made no sooner; while one is under way, when it counts as lost.';
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (host, state, due_at) WHERE state IN ('pending', 'parked');
CREATE INDEX webhook_deliveries_listing ON webhook_deliveries (tenant_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (6, 'webhooks');
END
$migration$;
COMMIT;
