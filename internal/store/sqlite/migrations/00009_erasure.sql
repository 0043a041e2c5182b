-- Deletion of people: jobs that finish after a crash, marks of who has gone, and holds that
-- forbid it. What the columns mean is said in the migration of this number for PostgreSQL.

-- +goose Up
CREATE TABLE erasures (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL UNIQUE,
    actor_id text,
    reason text NOT NULL DEFAULT '',
    steps text NOT NULL CHECK (json_type(steps) = 'array'),
    begun_at integer NOT NULL,
    next_at integer,
    leased_until integer,
    finished_at integer,
    CHECK ((next_at IS NULL) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX erasures_next_at_idx ON erasures (next_at) WHERE finished_at IS NULL;

CREATE TABLE tombstones (
    subject text NOT NULL PRIMARY KEY,
    deleted_at integer NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE legal_holds (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id),
    reason text NOT NULL CHECK (reason <> ''),
    placed_by text NOT NULL,
    placed_at integer NOT NULL
) STRICT;
CREATE INDEX legal_holds_user_id_idx ON legal_holds (user_id);
