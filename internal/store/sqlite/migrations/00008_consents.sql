-- What other servers have told us, so that nobody tells it again, and what people have
-- consented to.

-- +goose Up
CREATE TABLE webhook_receipts (
    digest blob NOT NULL PRIMARY KEY, -- SHA-256 of what was signed
    received_at integer NOT NULL,
    expires_at integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_receipts_expires_at_idx ON webhook_receipts (expires_at);

-- The newest word of somebody on each purpose. tenant_id is NULL where it was said to the
-- application as a whole.
CREATE TABLE consents (
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant_id text REFERENCES tenants (id) ON DELETE CASCADE,
    purpose text NOT NULL,
    version text NOT NULL,
    granted_at integer NOT NULL,
    expires_at integer,
    withdrawn_at integer
) STRICT;
CREATE UNIQUE INDEX consents_key ON consents (user_id, coalesce(tenant_id, ''), purpose);
CREATE INDEX consents_tenant_id_idx ON consents (tenant_id) WHERE tenant_id IS NOT NULL;

-- What was said, and when. tenant_id refers to nothing: what was agreed to in a tenant stays a
-- fact after the tenant has gone.
CREATE TABLE consent_events (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant_id text,
    purpose text NOT NULL,
    action text NOT NULL CHECK (action IN ('granted', 'withdrawn')),
    version text NOT NULL,
    created_at integer NOT NULL,
    expires_at integer,
    ip_address text NOT NULL DEFAULT '',
    user_agent text NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX consent_events_user_id_idx ON consent_events (user_id, id);

-- A line of the history may lose what tells of the person, and nothing else may change.
-- +goose StatementBegin
CREATE TRIGGER consent_events_keep BEFORE UPDATE ON consent_events
WHEN NEW.ip_address NOT IN (OLD.ip_address, '') OR NEW.user_agent NOT IN (OLD.user_agent, '')
    OR NEW.id <> OLD.id OR NEW.user_id <> OLD.user_id OR NEW.tenant_id IS NOT OLD.tenant_id OR NEW.purpose <> OLD.purpose
    OR NEW.action <> OLD.action OR NEW.version <> OLD.version OR NEW.created_at <> OLD.created_at
    OR NEW.expires_at IS NOT OLD.expires_at
BEGIN
    SELECT RAISE(ABORT, 'the history of consents is not changed');
END;
-- +goose StatementEnd
