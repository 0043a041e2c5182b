-- One-time tokens, PKCE flows and the outbox. The numbers of migrations are the same on
-- both databases from here on.

-- +goose Up
CREATE TYPE auth.one_time_token_type AS ENUM ('confirmation_token', 'reauthentication_token', 'recovery_token',
    'email_change_token_new', 'email_change_token_current', 'phone_change_token');
CREATE TYPE auth.code_challenge_method AS ENUM ('s256', 'plain');

-- Ours are the columns from purpose on. Their defaults make a row that another program
-- inserts a token that nobody can redeem and the cleaner removes.
CREATE TABLE auth.one_time_tokens (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    token_type auth.one_time_token_type NOT NULL,
    token_hash text NOT NULL,
    relates_to text NOT NULL,
    created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now(),
    purpose text NOT NULL DEFAULT '',
    code_hash text NOT NULL DEFAULT '',
    flow_state_id uuid,
    expires_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    paired boolean NOT NULL DEFAULT false,
    CONSTRAINT one_time_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT one_time_tokens_token_hash_check CHECK (char_length(token_hash) > 0)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX one_time_tokens_user_id_token_type_key ON auth.one_time_tokens (user_id, token_type);
CREATE INDEX one_time_tokens_token_hash_hash_idx ON auth.one_time_tokens USING hash (token_hash);
CREATE INDEX one_time_tokens_relates_to_hash_idx ON auth.one_time_tokens USING hash (relates_to);
CREATE INDEX one_time_tokens_expires_at_idx ON auth.one_time_tokens (expires_at);
CREATE INDEX one_time_tokens_flow_state_id_idx ON auth.one_time_tokens (flow_state_id) WHERE flow_state_id IS NOT NULL;
COMMENT ON COLUMN auth.one_time_tokens.paired IS 'The change of the e-mail address needs the proof of both addresses';

-- auth_code holds the SHA-256 of the code, never the code.
CREATE TABLE auth.flow_state (
    id uuid NOT NULL,
    user_id uuid,
    auth_code text,
    code_challenge_method auth.code_challenge_method,
    code_challenge text,
    provider_type text NOT NULL,
    provider_access_token text,
    provider_refresh_token text,
    created_at timestamptz,
    updated_at timestamptz,
    authentication_method text NOT NULL,
    auth_code_issued_at timestamptz,
    invite_token text,
    referrer text,
    oauth_client_state_id uuid,
    linking_target_id uuid,
    email_optional boolean NOT NULL DEFAULT false,
    CONSTRAINT flow_state_pkey PRIMARY KEY (id)
);
CREATE INDEX flow_state_created_at_idx ON auth.flow_state (created_at DESC);
CREATE INDEX idx_auth_code ON auth.flow_state (auth_code);
CREATE INDEX idx_user_id_auth_method ON auth.flow_state (user_id, authentication_method);

-- A queue: rows come and go, so the space of the dead ones is taken back early.
CREATE TABLE auth.outbox (
    id uuid NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    dead_at timestamptz,
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX outbox_not_before_idx ON auth.outbox (not_before, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead_at_idx ON auth.outbox (dead_at, id) WHERE dead_at IS NOT NULL;

ALTER TABLE auth.one_time_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.flow_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.outbox ENABLE ROW LEVEL SECURITY;
