-- What has been moved in from other systems, and how far imports have come.

-- +goose Up

-- local_id refers to nothing: an account that its owner has deleted must not come back with
-- the next import of the same file.
CREATE TABLE auth.moved (
    source text NOT NULL,
    kind text NOT NULL,
    external_id text NOT NULL,
    local_id uuid NOT NULL,
    moved_at timestamptz NOT NULL,
    CONSTRAINT moved_pkey PRIMARY KEY (source, kind, external_id),
    CONSTRAINT moved_kind_check CHECK (kind IN ('user', 'tenant'))
);
CREATE INDEX moved_local_id_idx ON auth.moved (local_id);

CREATE TABLE auth.imports (
    name text NOT NULL,
    source text NOT NULL,
    digest text NOT NULL,
    position bigint NOT NULL,
    after text NOT NULL DEFAULT '',
    moved bigint NOT NULL DEFAULT 0,
    present bigint NOT NULL DEFAULT 0,
    taken bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT imports_pkey PRIMARY KEY (name)
);

ALTER TABLE auth.moved ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.imports ENABLE ROW LEVEL SECURITY;
