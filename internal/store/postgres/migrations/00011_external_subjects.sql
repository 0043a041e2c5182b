-- For whom other issuers vouch: the ids that they have given, with our accounts. That an
-- account was deleted is remembered in auth.tombstones.

-- +goose Up
CREATE TABLE auth.external_subjects (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    source_at timestamptz,
    evidence_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT external_subjects_pkey PRIMARY KEY (issuer, subject),
    CONSTRAINT external_subjects_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
);
CREATE INDEX external_subjects_user_id_idx ON auth.external_subjects (user_id);
COMMENT ON COLUMN auth.external_subjects.source_at IS 'When the issuer last said how its account stands';
COMMENT ON COLUMN auth.external_subjects.evidence_at IS 'When the issuer was last asked about addresses';
ALTER TABLE auth.external_subjects ENABLE ROW LEVEL SECURITY;
