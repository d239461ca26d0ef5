-- 004: who may enter: users, API keys, the keys that sign tokens, and failed logins.
--
-- Run it with the migrator (`orchestrator migrate up`) or with `psql -v ON_ERROR_STOP=1 -f`. Everything happens in one
-- transaction; a second run says that there is nothing to do and changes nothing.
--
-- No secret stands here in clear: passwords as scrypt hashes, API keys as SHA-256 of 256 random bits, private signing
-- keys sealed under the installation's own secret, which is not in the database.
BEGIN;
SET LOCAL lock_timeout = '15s';

DO $migration$
BEGIN
IF to_regclass('schema_migrations') IS NULL OR NOT EXISTS (SELECT FROM schema_migrations WHERE version = 3) THEN
    RAISE EXCEPTION 'Migration 004 builds on 003: run 003_learning_governance.sql first. Nothing was changed.'
        USING ERRCODE = 'object_not_in_prerequisite_state';
END IF;
LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE;
IF EXISTS (SELECT FROM schema_migrations WHERE version = 4) THEN
    RAISE NOTICE 'Migration 004 is applied already; nothing was changed.';
    RETURN;
END IF;

CREATE TABLE users (
    tenant_id text NOT NULL,
    name text NOT NULL CONSTRAINT users_name_is_a_name CHECK (name ~ '^[a-z0-9][a-z0-9._@+-]{0,126}$'),
    role text NOT NULL CONSTRAINT users_role_is_known
        CHECK (role IN ('admin', 'operator', 'developer', 'observer', 'agent')),
    password_hash text NOT NULL CONSTRAINT users_password_is_hashed CHECK (password_hash ~ '^\$scrypt\$'),
    password_changed_at timestamptz NOT NULL,
    disabled_at timestamptz,
    last_login_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT users_tenant_is_a_name CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$')
) WITH (fillfactor = 70);
COMMENT ON TABLE users IS 'People who log in with a password. Names are told apart without regard to case.';
COMMENT ON COLUMN users.password_hash IS '$scrypt$ln=…,r=…,p=…$salt$hash: the parameters stand beside the hash.';

CREATE TABLE api_keys (
    id text PRIMARY KEY CONSTRAINT api_keys_id_is_a_prefix CHECK (id ~ '^gk_[0-9A-Za-z]{8}$'),
    tenant_id text NOT NULL CONSTRAINT api_keys_tenant_is_a_name CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    label text NOT NULL CONSTRAINT api_keys_label_is_short CHECK (char_length(label) BETWEEN 1 AND 120),
    role text NOT NULL CONSTRAINT api_keys_role_is_known
        CHECK (role IN ('admin', 'operator', 'developer', 'observer', 'agent')),
    hash bytea NOT NULL CONSTRAINT api_keys_hash_is_sha256 CHECK (octet_length(hash) = 32),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    last_used_at timestamptz,
    CONSTRAINT api_keys_revoked_by_somebody CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CONSTRAINT api_keys_expire_later CHECK (expires_at > created_at)
) WITH (fillfactor = 70);
COMMENT ON TABLE api_keys IS 'Keys of programs, exchanged for short-lived tokens.';
COMMENT ON COLUMN api_keys.id IS 'The first characters of the key, which are no secret.';
COMMENT ON COLUMN api_keys.last_used_at IS 'At most a minute behind.';
CREATE INDEX api_keys_listing ON api_keys (tenant_id, created_at DESC);

CREATE TABLE signing_keys (
    id text PRIMARY KEY CONSTRAINT signing_keys_id_is_a_kid CHECK (id ~ '^golden-[0-9a-f]{16}$'),
    algorithm text NOT NULL CONSTRAINT signing_keys_algorithm_is_known CHECK (algorithm = 'ES256'),
    public_key bytea NOT NULL CONSTRAINT signing_keys_point_is_whole CHECK (octet_length(public_key) = 64),
    private_key_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,
    signs_until timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    CONSTRAINT signing_keys_times_are_in_order CHECK (
        created_at <= signs_from AND signs_from <= signs_until AND signs_until <= valid_until
    )
);
COMMENT ON TABLE signing_keys IS
    'Keys that sign this installation''s tokens. Two are valid at once around each rotation.';
COMMENT ON COLUMN signing_keys.private_key_sealed IS 'AES-256-GCM under a key derived from the installation''s secret.';
COMMENT ON COLUMN signing_keys.valid_until IS 'Until then tokens signed with it are accepted: later than any of them.';

-- Attempts are counted before the password is looked at, so that many at once count as many.
CREATE TABLE login_attempts (
    key bytea PRIMARY KEY CONSTRAINT login_attempts_key_is_sha256 CHECK (octet_length(key) = 32),
    attempts int NOT NULL CONSTRAINT login_attempts_counted CHECK (attempts > 0),
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE login_attempts IS
    'Logins since the last that succeeded, by SHA-256 of tenant, user and address: a mistyped name may be a password.';
CREATE INDEX login_attempts_expiry ON login_attempts (expires_at);

INSERT INTO schema_migrations (version, name) VALUES (4, 'accounts');
END
$migration$;
COMMIT;
