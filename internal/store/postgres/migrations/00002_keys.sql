-- Tables of our own: the key ring and the opaque API keys.

-- +goose Up
CREATE TABLE auth.signing_keys (
    kid text NOT NULL,
    use text NOT NULL,
    algorithm text NOT NULL,
    status text NOT NULL,
    sealed bytea NOT NULL,
    public_jwk jsonb,
    created_at timestamptz NOT NULL,
    activated_at timestamptz,
    retired_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (kid),
    CONSTRAINT signing_keys_use_check CHECK (use IN ('access', 'api_key', 'refresh')),
    CONSTRAINT signing_keys_status_check CHECK (status IN ('standby', 'current', 'previous', 'revoked'))
);
CREATE UNIQUE INDEX signing_keys_one_current ON auth.signing_keys (use) WHERE status = 'current';
CREATE UNIQUE INDEX signing_keys_one_standby ON auth.signing_keys (use) WHERE status = 'standby';

CREATE TABLE auth.api_keys (
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    prefix text NOT NULL,
    hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_kind_check CHECK (kind IN ('publishable', 'secret'))
);

ALTER TABLE auth.signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.api_keys ENABLE ROW LEVEL SECURITY;
