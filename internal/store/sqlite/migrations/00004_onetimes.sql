-- One-time tokens, PKCE flows and the outbox. The numbers of migrations are the same on
-- both databases from here on, so there is no 2 and no 3.

-- +goose Up

-- Ours are the columns from purpose on.
CREATE TABLE one_time_tokens (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_type text NOT NULL CHECK (token_type IN ('confirmation_token', 'reauthentication_token', 'recovery_token',
        'email_change_token_new', 'email_change_token_current', 'phone_change_token')),
    token_hash text NOT NULL CHECK (length(token_hash) > 0),
    relates_to text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    purpose text NOT NULL DEFAULT '',
    code_hash text NOT NULL DEFAULT '',
    flow_state_id text,
    expires_at integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    paired integer NOT NULL DEFAULT 0 CHECK (paired IN (0, 1)),
    CONSTRAINT one_time_tokens_user_id_token_type_key UNIQUE (user_id, token_type)
) STRICT;
CREATE INDEX one_time_tokens_token_hash_idx ON one_time_tokens (token_hash);
CREATE INDEX one_time_tokens_relates_to_idx ON one_time_tokens (relates_to);
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);
CREATE INDEX one_time_tokens_flow_state_id_idx ON one_time_tokens (flow_state_id) WHERE flow_state_id IS NOT NULL;

-- auth_code holds the SHA-256 of the code, never the code.
CREATE TABLE flow_state (
    id text NOT NULL PRIMARY KEY,
    user_id text,
    auth_code text,
    code_challenge_method text CHECK (code_challenge_method IN ('s256', 'plain')),
    code_challenge text,
    provider_type text NOT NULL,
    provider_access_token text,
    provider_refresh_token text,
    created_at integer,
    updated_at integer,
    authentication_method text NOT NULL,
    auth_code_issued_at integer,
    invite_token text,
    referrer text,
    oauth_client_state_id text,
    linking_target_id text,
    email_optional integer NOT NULL DEFAULT 0 CHECK (email_optional IN (0, 1))
) STRICT;
CREATE INDEX flow_state_created_at_idx ON flow_state (created_at);
CREATE INDEX idx_auth_code ON flow_state (auth_code) WHERE auth_code IS NOT NULL;

CREATE TABLE outbox (
    id text NOT NULL PRIMARY KEY,
    channel text NOT NULL,
    kind text NOT NULL,
    sealed blob NOT NULL,
    created_at integer NOT NULL,
    not_before integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    dead_at integer
) STRICT;
CREATE INDEX outbox_not_before_idx ON outbox (not_before, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead_at_idx ON outbox (dead_at, id) WHERE dead_at IS NOT NULL;
