-- Deletion of people: jobs that finish after a crash, marks of who has gone, and holds that
-- forbid it.

-- +goose Up

-- Refers to nobody: it outlives the account. steps is what the job has to do, as it was
-- decided when it began, with what has been done.
CREATE TABLE auth.erasures (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    actor_id uuid,
    reason text NOT NULL DEFAULT '',
    steps jsonb NOT NULL,
    begun_at timestamptz NOT NULL,
    next_at timestamptz,
    leased_until timestamptz,
    finished_at timestamptz,
    CONSTRAINT erasures_pkey PRIMARY KEY (id),
    CONSTRAINT erasures_user_id_key UNIQUE (user_id),
    CONSTRAINT erasures_steps_check CHECK (jsonb_typeof(steps) = 'array'),
    CONSTRAINT erasures_next_at_check CHECK ((next_at IS NULL) = (finished_at IS NOT NULL))
);
CREATE INDEX erasures_next_at_idx ON auth.erasures (next_at) WHERE finished_at IS NULL;
COMMENT ON COLUMN auth.erasures.user_id IS 'What stays of the person';

-- Who has been deleted, so that a token that is still valid brings nobody back: the id of the
-- account, or the SHA-256 of provider, line feed and subject of an identity.
CREATE TABLE auth.tombstones (
    subject text NOT NULL,
    deleted_at timestamptz NOT NULL,
    CONSTRAINT tombstones_pkey PRIMARY KEY (subject)
);

-- The foreign key has no action on purpose: not even by hand can an account be deleted while
-- a hold is there. A hold that is lifted is deleted; the audit log keeps that it was there.
CREATE TABLE auth.legal_holds (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (id),
    CONSTRAINT legal_holds_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id),
    CONSTRAINT legal_holds_reason_check CHECK (reason <> '')
);
CREATE INDEX legal_holds_user_id_idx ON auth.legal_holds (user_id);

ALTER TABLE auth.erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.legal_holds ENABLE ROW LEVEL SECURITY;
