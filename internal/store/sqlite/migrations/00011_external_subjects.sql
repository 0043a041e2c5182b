-- For whom other issuers vouch. What the columns mean is said in the migration of this
-- number for PostgreSQL.

-- +goose Up
CREATE TABLE external_subjects (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source_at integer,
    evidence_at integer,
    created_at integer NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX external_subjects_user_id_idx ON external_subjects (user_id);
