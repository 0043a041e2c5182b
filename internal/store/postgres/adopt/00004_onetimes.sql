-- In place of migration 4. What GoTrue has sent before can't be redeemed: the default makes
-- it expired, and whoever waits for a message asks for another one.
ALTER TABLE auth.one_time_tokens
    ADD COLUMN purpose text NOT NULL DEFAULT '',
    ADD COLUMN code_hash text NOT NULL DEFAULT '',
    ADD COLUMN flow_state_id uuid,
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN paired boolean NOT NULL DEFAULT false,
    SET (fillfactor = 80);
CREATE UNIQUE INDEX IF NOT EXISTS one_time_tokens_user_id_token_type_key ON auth.one_time_tokens (user_id, token_type);
CREATE INDEX IF NOT EXISTS one_time_tokens_token_hash_hash_idx ON auth.one_time_tokens USING hash (token_hash);
CREATE INDEX IF NOT EXISTS one_time_tokens_relates_to_hash_idx ON auth.one_time_tokens USING hash (relates_to);
CREATE INDEX one_time_tokens_expires_at_idx ON auth.one_time_tokens (expires_at);
CREATE INDEX one_time_tokens_flow_state_id_idx ON auth.one_time_tokens (flow_state_id) WHERE flow_state_id IS NOT NULL;
COMMENT ON COLUMN auth.one_time_tokens.paired IS 'The change of the e-mail address needs the proof of both addresses';

CREATE INDEX IF NOT EXISTS flow_state_created_at_idx ON auth.flow_state (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_auth_code ON auth.flow_state (auth_code);
CREATE INDEX IF NOT EXISTS idx_user_id_auth_method ON auth.flow_state (user_id, authentication_method);

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
