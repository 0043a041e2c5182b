-- What an application knows of people beside their accounts: profiles, tenants, what
-- somebody is in a tenant, and who has to do with whom.

-- +goose Up
ALTER TABLE auth.users
    ADD COLUMN is_active boolean NOT NULL DEFAULT true,
    ADD COLUMN has_agent boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN auth.users.is_active IS 'False: authenticated, and refused everywhere but at its own account';
COMMENT ON COLUMN auth.users.has_agent IS 'An agent is assigned without an end. Kept by a trigger of auth.relations; for lists only';

-- Each serves one filter of the lists of people, in the order of their pages. That of the
-- audience has only what is rare: as an index of all accounts, a planner that knows no
-- numbers yet would take it to find one account by its id or its address.
CREATE INDEX users_aud_id_idx ON auth.users (aud, id) WHERE aud <> 'authenticated' AND deleted_at IS NULL;
CREATE INDEX users_active_idx ON auth.users (id) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX users_inactive_idx ON auth.users (id) WHERE NOT is_active AND deleted_at IS NULL;
CREATE INDEX users_phone_verified_idx ON auth.users (id) WHERE phone_confirmed_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_phone_unverified_idx ON auth.users (id) WHERE phone_confirmed_at IS NULL AND deleted_at IS NULL;
CREATE INDEX users_unassigned_idx ON auth.users (id) WHERE NOT has_agent AND deleted_at IS NULL;

-- tenant_id refers to nothing: what counts is the membership, which is looked up each time.
ALTER TABLE auth.sessions
    ADD COLUMN name text,
    ADD COLUMN tenant_id uuid;
COMMENT ON COLUMN auth.sessions.name IS 'Given by the owner';
COMMENT ON COLUMN auth.sessions.tenant_id IS 'The active tenant; worth nothing without an open membership in it';

-- The roles of raw_app_meta_data, which stays the place where they are written, in an
-- order that a list can be read in.
CREATE TABLE auth.user_roles (
    role text NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT user_roles_pkey PRIMARY KEY (role, user_id),
    CONSTRAINT user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
);
CREATE INDEX user_roles_user_id_idx ON auth.user_roles (user_id);

-- Whoever may write an account need not be allowed to write this table. What is too long
-- for an index entry is no role of any catalogue.
-- +goose StatementBegin
CREATE FUNCTION auth.cardea_copy_roles() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM auth.user_roles WHERE user_id = NEW.id;
    END IF;
    IF jsonb_typeof(NEW.raw_app_meta_data -> 'roles') = 'array' THEN
        INSERT INTO auth.user_roles (role, user_id)
        SELECT DISTINCT r #>> '{}', NEW.id FROM jsonb_array_elements(NEW.raw_app_meta_data -> 'roles') AS r
        WHERE jsonb_typeof(r) = 'string' AND octet_length(r #>> '{}') <= 255;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER cardea_roles_insert AFTER INSERT ON auth.users FOR EACH ROW
    WHEN (NEW.raw_app_meta_data -> 'roles' IS NOT NULL) EXECUTE FUNCTION auth.cardea_copy_roles();
CREATE TRIGGER cardea_roles_update AFTER UPDATE OF raw_app_meta_data ON auth.users FOR EACH ROW
    WHEN (OLD.raw_app_meta_data -> 'roles' IS DISTINCT FROM NEW.raw_app_meta_data -> 'roles')
    EXECUTE FUNCTION auth.cardea_copy_roles();
INSERT INTO auth.user_roles (role, user_id)
    SELECT DISTINCT r #>> '{}', u.id FROM auth.users u, jsonb_array_elements(
        CASE WHEN jsonb_typeof(u.raw_app_meta_data -> 'roles') = 'array' THEN u.raw_app_meta_data -> 'roles' ELSE '[]' END) AS r
    WHERE jsonb_typeof(r) = 'string' AND octet_length(r #>> '{}') <= 255;

-- One row at most for each account. extensions holds an object for each kind of person
-- that an application declares: physician, staff, agent.
CREATE TABLE auth.profiles (
    user_id uuid NOT NULL,
    full_name text NOT NULL DEFAULT '',
    birth_date date,
    image_url text NOT NULL DEFAULT '',
    language text NOT NULL DEFAULT '',
    preferences jsonb NOT NULL DEFAULT '{}',
    notification_settings jsonb NOT NULL DEFAULT '{}',
    privacy_settings jsonb NOT NULL DEFAULT '{}',
    flags jsonb NOT NULL DEFAULT '{}',
    extensions jsonb NOT NULL DEFAULT '{}',
    last_auth_method text,
    last_auth_method_at timestamptz,
    updated_at timestamptz NOT NULL,
    CONSTRAINT profiles_pkey PRIMARY KEY (user_id),
    CONSTRAINT profiles_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT ck_profiles_last_auth_method CHECK (last_auth_method IN
        ('google', 'apple', 'email_password', 'phone_password', 'phone_otp', 'email_otp')),
    CONSTRAINT profiles_objects_check CHECK (jsonb_typeof(preferences) = 'object'
        AND jsonb_typeof(notification_settings) = 'object' AND jsonb_typeof(privacy_settings) = 'object'
        AND jsonb_typeof(flags) = 'object' AND jsonb_typeof(extensions) = 'object')
) WITH (fillfactor = 90);

CREATE TABLE auth.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_slug_key UNIQUE (slug),
    CONSTRAINT tenants_slug_check CHECK (slug <> '' AND slug = lower(slug)),
    CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object')
);

-- invited_by may be somebody who has gone.
CREATE TABLE auth.memberships (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    state text NOT NULL,
    invited_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ends_at timestamptz,
    CONSTRAINT memberships_pkey PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT memberships_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants (id) ON DELETE CASCADE,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT memberships_state_check CHECK (state IN ('active', 'invited', 'pending', 'suspended'))
);
CREATE INDEX memberships_user_id_idx ON auth.memberships (user_id, tenant_id);
CREATE INDEX memberships_role_idx ON auth.memberships (tenant_id, role, user_id);

CREATE TABLE auth.relations (
    id uuid NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    object_id uuid,
    tenant_id uuid,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL,
    CONSTRAINT relations_pkey PRIMARY KEY (id),
    CONSTRAINT relations_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT relations_object_id_fkey FOREIGN KEY (object_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT relations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants (id) ON DELETE CASCADE,
    CONSTRAINT relations_ends_at_check CHECK (ends_at >= starts_at),
    CONSTRAINT relations_kind_check CHECK (
        kind = 'care' AND object_id IS NOT NULL AND tenant_id IS NOT NULL
        OR kind = 'patient' AND object_id IS NULL AND tenant_id IS NOT NULL
        OR kind = 'agent' AND object_id IS NOT NULL AND tenant_id IS NULL)
);
CREATE INDEX relations_subject_idx ON auth.relations (subject_id, kind, id);
CREATE INDEX relations_object_idx ON auth.relations (object_id, kind, id) WHERE object_id IS NOT NULL;
CREATE INDEX relations_tenant_idx ON auth.relations (tenant_id, kind, id) WHERE tenant_id IS NOT NULL;
CREATE INDEX relations_customers_idx ON auth.relations (subject_id, object_id) WHERE kind = 'agent';
-- Of those without an end there is one of each; a customer has one agent. What has an end
-- is compared under the lock of the accounts.
CREATE UNIQUE INDEX relations_one_open_key ON auth.relations (kind, subject_id,
    coalesce(object_id, '00000000-0000-0000-0000-000000000000'), coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'))
    WHERE ends_at IS NULL;
CREATE UNIQUE INDEX relations_one_agent_key ON auth.relations (object_id) WHERE kind = 'agent' AND ends_at IS NULL;

-- Also when an agent's account is deleted, and the relations with it.
-- +goose StatementBegin
CREATE FUNCTION auth.cardea_note_agent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.kind = 'agent' AND OLD.ends_at IS NULL THEN
        UPDATE auth.users SET has_agent = false WHERE id = OLD.object_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.kind = 'agent' AND NEW.ends_at IS NULL AND NEW.starts_at <= NEW.created_at THEN
        UPDATE auth.users SET has_agent = true WHERE id = NEW.object_id;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER cardea_agent_insert AFTER INSERT ON auth.relations FOR EACH ROW
    WHEN (NEW.kind = 'agent') EXECUTE FUNCTION auth.cardea_note_agent();
CREATE TRIGGER cardea_agent_update AFTER UPDATE ON auth.relations FOR EACH ROW
    WHEN (OLD.kind = 'agent' OR NEW.kind = 'agent') EXECUTE FUNCTION auth.cardea_note_agent();
CREATE TRIGGER cardea_agent_delete AFTER DELETE ON auth.relations FOR EACH ROW
    WHEN (OLD.kind = 'agent') EXECUTE FUNCTION auth.cardea_note_agent();

ALTER TABLE auth.user_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.relations ENABLE ROW LEVEL SECURITY;
