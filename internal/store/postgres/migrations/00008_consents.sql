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

-- The newest word of somebody on each purpose. tenant_id is NULL where it was said to the
-- application as a whole.
CREATE TABLE auth.consents (
    user_id uuid NOT NULL,
    tenant_id uuid,
    purpose text NOT NULL,
    version text NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz,
    withdrawn_at timestamptz,
    CONSTRAINT consents_key UNIQUE NULLS NOT DISTINCT (user_id, tenant_id, purpose),
    CONSTRAINT consents_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT consents_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants (id) ON DELETE CASCADE
);
CREATE INDEX consents_tenant_id_idx ON auth.consents (tenant_id) WHERE tenant_id IS NOT NULL;
ALTER TABLE auth.consents ENABLE ROW LEVEL SECURITY;

-- What was said, and when. tenant_id refers to nothing: what was agreed to in a tenant stays a
-- fact after the tenant has gone.
CREATE TABLE auth.consent_events (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    tenant_id uuid,
    purpose text NOT NULL,
    action text NOT NULL,
    version text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    ip_address text NOT NULL DEFAULT '',
    user_agent text NOT NULL DEFAULT '',
    CONSTRAINT consent_events_pkey PRIMARY KEY (id),
    CONSTRAINT consent_events_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT consent_events_action_check CHECK (action IN ('granted', 'withdrawn'))
);
CREATE INDEX consent_events_user_id_idx ON auth.consent_events (user_id, id);
ALTER TABLE auth.consent_events ENABLE ROW LEVEL SECURITY;

-- A line of the history may lose what tells of the person, and nothing else may change.
-- +goose StatementBegin
CREATE FUNCTION auth.cardea_keep_consent_events() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.ip_address NOT IN (OLD.ip_address, '') OR NEW.user_agent NOT IN (OLD.user_agent, '')
        OR (NEW.id, NEW.user_id, NEW.tenant_id, NEW.purpose, NEW.action, NEW.version, NEW.created_at, NEW.expires_at)
            IS DISTINCT FROM (OLD.id, OLD.user_id, OLD.tenant_id, OLD.purpose, OLD.action, OLD.version, OLD.created_at, OLD.expires_at) THEN
        RAISE EXCEPTION 'the history of consents is not changed';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER cardea_keep_consent_events BEFORE UPDATE ON auth.consent_events FOR EACH ROW
    EXECUTE FUNCTION auth.cardea_keep_consent_events();
