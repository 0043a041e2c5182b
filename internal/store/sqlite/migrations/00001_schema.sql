-- GoTrue's tables with GoTrue's names, as in the schema auth on PostgreSQL; the test of
-- both stores compares the columns. What is ours says so. Kept in every table:
--   times   integer, microseconds since 1970 UTC
--   ids     text, canonical lower-case UUID
--   json    text, checked to be JSON where PostgreSQL has jsonb
--   bool    integer, 0 or 1
-- Rows are wide in users and identities, so these keep their rowid; the narrow tables
-- that are written all the time live in their primary key's tree.

-- +goose Up
CREATE TABLE users (
    instance_id text DEFAULT '00000000-0000-0000-0000-000000000000',
    id text NOT NULL PRIMARY KEY,
    aud text,
    role text,
    email text,
    encrypted_password text,
    email_confirmed_at integer,
    invited_at integer,
    confirmation_token text DEFAULT '',
    confirmation_sent_at integer,
    recovery_token text DEFAULT '',
    recovery_sent_at integer,
    email_change_token_new text DEFAULT '',
    email_change text DEFAULT '',
    email_change_sent_at integer,
    last_sign_in_at integer,
    raw_app_meta_data text CHECK (json_valid(raw_app_meta_data)),
    raw_user_meta_data text CHECK (json_valid(raw_user_meta_data)),
    is_super_admin integer CHECK (is_super_admin IN (0, 1)),
    created_at integer,
    updated_at integer,
    phone text,
    phone_confirmed_at integer,
    phone_change text DEFAULT '',
    phone_change_token text DEFAULT '',
    phone_change_sent_at integer,
    confirmed_at integer GENERATED ALWAYS AS
        (coalesce(min(email_confirmed_at, phone_confirmed_at), email_confirmed_at, phone_confirmed_at)) VIRTUAL,
    email_change_token_current text DEFAULT '',
    email_change_confirm_status integer DEFAULT 0 CHECK (email_change_confirm_status BETWEEN 0 AND 2),
    banned_until integer,
    reauthentication_token text DEFAULT '',
    reauthentication_sent_at integer,
    is_sso_user integer NOT NULL DEFAULT 0 CHECK (is_sso_user IN (0, 1)),
    deleted_at integer,
    is_anonymous integer NOT NULL DEFAULT 0 CHECK (is_anonymous IN (0, 1)),
    CONSTRAINT users_phone_key UNIQUE (phone)
) STRICT;

-- Serves the look-up by address too: addresses are stored lower-cased.
CREATE UNIQUE INDEX users_email_partial_key ON users (email) WHERE is_sso_user = 0;
-- Serves the pages and the count of the administration.
CREATE INDEX users_aud_created_at_idx ON users (aud, created_at, id) WHERE deleted_at IS NULL;
-- A stored hash of a token is unique; six digits or nothing may repeat.
CREATE UNIQUE INDEX confirmation_token_idx ON users (confirmation_token)
    WHERE confirmation_token GLOB '*[^0-9 ]*';
CREATE UNIQUE INDEX recovery_token_idx ON users (recovery_token)
    WHERE recovery_token GLOB '*[^0-9 ]*';
CREATE UNIQUE INDEX email_change_token_current_idx ON users (email_change_token_current)
    WHERE email_change_token_current GLOB '*[^0-9 ]*';
CREATE UNIQUE INDEX email_change_token_new_idx ON users (email_change_token_new)
    WHERE email_change_token_new GLOB '*[^0-9 ]*';
CREATE UNIQUE INDEX reauthentication_token_idx ON users (reauthentication_token)
    WHERE reauthentication_token GLOB '*[^0-9 ]*';

CREATE TABLE identities (
    provider_id text NOT NULL,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    identity_data text NOT NULL CHECK (json_valid(identity_data)),
    provider text NOT NULL,
    last_sign_in_at integer,
    created_at integer,
    updated_at integer,
    email text GENERATED ALWAYS AS (lower(identity_data ->> '$.email')) VIRTUAL,
    id text NOT NULL PRIMARY KEY,
    CONSTRAINT identities_provider_id_provider_unique UNIQUE (provider_id, provider)
) STRICT;
CREATE INDEX identities_user_id_idx ON identities (user_id);

-- refresh_token_parent is ours: the number of the token that the current one was
-- exchanged for.
CREATE TABLE sessions (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at integer,
    updated_at integer,
    factor_id text,
    aal text CHECK (aal IN ('aal1', 'aal2', 'aal3')),
    not_after integer,
    refreshed_at integer,
    user_agent text,
    ip text,
    tag text,
    oauth_client_id text,
    refresh_token_hmac_key text,
    refresh_token_counter integer,
    scopes text CHECK (length(scopes) <= 4096),
    refresh_token_parent integer NOT NULL DEFAULT -1
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_not_after_idx ON sessions (not_after) WHERE not_after IS NOT NULL;

-- A new type of factor means a new table here, so the check knows GoTrue's next one already.
CREATE TABLE mfa_factors (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    friendly_name text,
    factor_type text NOT NULL CHECK (factor_type IN ('totp', 'webauthn', 'phone', 'recovery_code')),
    status text NOT NULL CHECK (status IN ('unverified', 'verified')),
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    secret text,
    phone text,
    last_challenged_at integer,
    web_authn_credential text CHECK (json_valid(web_authn_credential)),
    web_authn_aaguid text,
    last_webauthn_challenge_data text CHECK (json_valid(last_webauthn_challenge_data)),
    CONSTRAINT mfa_factors_last_challenged_at_key UNIQUE (last_challenged_at)
) STRICT;
CREATE UNIQUE INDEX mfa_factors_user_friendly_name_unique ON mfa_factors (friendly_name, user_id)
    WHERE trim(friendly_name) <> '';
CREATE UNIQUE INDEX unique_phone_factor_per_user ON mfa_factors (user_id, phone);

-- The id is made here (a random UUID, as gen_random_uuid() makes it): nothing refers to it.
CREATE TABLE mfa_amr_claims (
    session_id text NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    authentication_method text NOT NULL,
    id text NOT NULL DEFAULT (
        lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
        || substr('89ab', (random() & 3) + 1, 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    PRIMARY KEY (session_id, authentication_method)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log_entries (
    instance_id text DEFAULT '00000000-0000-0000-0000-000000000000',
    id text NOT NULL PRIMARY KEY,
    payload text CHECK (json_valid(payload)),
    created_at integer,
    ip_address text NOT NULL DEFAULT ''
) STRICT;

-- Tables of our own: the key ring and the opaque API keys.
CREATE TABLE signing_keys (
    kid text NOT NULL PRIMARY KEY,
    use text NOT NULL CHECK (use IN ('access', 'api_key', 'refresh')),
    algorithm text NOT NULL,
    status text NOT NULL CHECK (status IN ('standby', 'current', 'previous', 'revoked')),
    sealed blob NOT NULL,
    public_jwk text CHECK (json_valid(public_jwk)),
    created_at integer NOT NULL,
    activated_at integer,
    retired_at integer,
    revoked_at integer
) STRICT;
CREATE UNIQUE INDEX signing_keys_one_current ON signing_keys (use) WHERE status = 'current';
CREATE UNIQUE INDEX signing_keys_one_standby ON signing_keys (use) WHERE status = 'standby';

CREATE TABLE api_keys (
    id text NOT NULL PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('publishable', 'secret')),
    prefix text NOT NULL,
    hash blob NOT NULL UNIQUE,
    created_at integer NOT NULL,
    revoked_at integer
) STRICT;
