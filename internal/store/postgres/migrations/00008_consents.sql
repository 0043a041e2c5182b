-- What other servers have told us, so that nobody tells it again, and what people have
-- consented to.

-- +goose Up
CREATE TABLE auth.webhook_receipts (
    digest bytea NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT webhook_receipts_pkey PRIMARY KEY (digest)
);
CREATE INDEX webhook_receipts_expires_at_idx ON auth.webhook_receipts (expires_at);
COMMENT ON COLUMN auth.webhook_receipts.digest IS 'SHA-256 of what was signed';
ALTER TABLE auth.webhook_receipts ENABLE ROW LEVEL SECURITY;
