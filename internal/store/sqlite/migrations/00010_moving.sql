-- What has been moved in from other systems, and how far imports have come. See the
-- migration of this number for PostgreSQL.

-- +goose Up
CREATE TABLE moved (
    source text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('user', 'tenant')),
    external_id text NOT NULL,
    local_id text NOT NULL,
    moved_at integer NOT NULL,
    PRIMARY KEY (source, kind, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX moved_local_id_idx ON moved (local_id);

CREATE TABLE imports (
    name text NOT NULL PRIMARY KEY,
    source text NOT NULL,
    digest text NOT NULL,
    position integer NOT NULL,
    after text NOT NULL DEFAULT '',
    moved integer NOT NULL DEFAULT 0,
    present integer NOT NULL DEFAULT 0,
    taken integer NOT NULL DEFAULT 0,
    refused integer NOT NULL DEFAULT 0,
    started_at integer NOT NULL,
    updated_at integer NOT NULL,
    finished_at integer
) STRICT;
