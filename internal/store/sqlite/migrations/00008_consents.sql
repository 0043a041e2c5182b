-- What other servers have told us, so that nobody tells it again, and what people have
-- consented to.

-- +goose Up
CREATE TABLE webhook_receipts (
    digest blob NOT NULL PRIMARY KEY, -- SHA-256 of what was signed
    received_at integer NOT NULL,
    expires_at integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_receipts_expires_at_idx ON webhook_receipts (expires_at);
