-- What an application knows of people beside their accounts: profiles, tenants, what
-- somebody is in a tenant, and who has to do with whom. What the columns mean is said in
-- the migration of this number for PostgreSQL.

-- +goose Up
ALTER TABLE users ADD COLUMN is_active integer NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1));
ALTER TABLE users ADD COLUMN has_agent integer NOT NULL DEFAULT 0 CHECK (has_agent IN (0, 1));

-- Each serves one filter of the lists of people, in the order of their pages.
CREATE INDEX users_aud_id_idx ON users (aud, id) WHERE aud <> 'authenticated' AND deleted_at IS NULL;
CREATE INDEX users_active_idx ON users (id) WHERE is_active = 1 AND deleted_at IS NULL;
CREATE INDEX users_inactive_idx ON users (id) WHERE is_active = 0 AND deleted_at IS NULL;
CREATE INDEX users_phone_verified_idx ON users (id) WHERE phone_confirmed_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_phone_unverified_idx ON users (id) WHERE phone_confirmed_at IS NULL AND deleted_at IS NULL;
CREATE INDEX users_unassigned_idx ON users (id) WHERE has_agent = 0 AND deleted_at IS NULL;

ALTER TABLE sessions ADD COLUMN name text;
ALTER TABLE sessions ADD COLUMN tenant_id text;
-- A sign-in asks for the newest session of the account.
DROP INDEX sessions_user_id_idx;
CREATE INDEX sessions_user_id_created_at_idx ON sessions (user_id, created_at);

CREATE TABLE user_roles (
    role text NOT NULL,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (role, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_user_id_idx ON user_roles (user_id);

-- +goose StatementBegin
CREATE TRIGGER users_roles_insert AFTER INSERT ON users
WHEN json_type(NEW.raw_app_meta_data, '$.roles') = 'array'
BEGIN
    INSERT INTO user_roles (role, user_id)
    SELECT DISTINCT value, NEW.id FROM json_each(NEW.raw_app_meta_data, '$.roles')
    WHERE type = 'text' AND length(CAST(value AS blob)) <= 255;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_roles_update AFTER UPDATE OF raw_app_meta_data ON users
WHEN json_extract(OLD.raw_app_meta_data, '$.roles') IS NOT json_extract(NEW.raw_app_meta_data, '$.roles')
BEGIN
    DELETE FROM user_roles WHERE user_id = NEW.id;
    INSERT INTO user_roles (role, user_id)
    SELECT DISTINCT value, NEW.id FROM json_each(NEW.raw_app_meta_data, '$.roles')
    WHERE type = 'text' AND length(CAST(value AS blob)) <= 255 AND json_type(NEW.raw_app_meta_data, '$.roles') = 'array';
END;
-- +goose StatementEnd
INSERT INTO user_roles (role, user_id)
    SELECT DISTINCT r.value, u.id FROM users u, json_each(u.raw_app_meta_data, '$.roles') r
    WHERE json_type(u.raw_app_meta_data, '$.roles') = 'array' AND r.type = 'text' AND length(CAST(r.value AS blob)) <= 255;

CREATE TABLE profiles (
    user_id text NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    full_name text NOT NULL DEFAULT '',
    birth_date text CHECK (birth_date IS date(birth_date)),
    image_url text NOT NULL DEFAULT '',
    language text NOT NULL DEFAULT '',
    preferences text NOT NULL DEFAULT '{}' CHECK (json_type(preferences) = 'object'),
    notification_settings text NOT NULL DEFAULT '{}' CHECK (json_type(notification_settings) = 'object'),
    privacy_settings text NOT NULL DEFAULT '{}' CHECK (json_type(privacy_settings) = 'object'),
    flags text NOT NULL DEFAULT '{}' CHECK (json_type(flags) = 'object'),
    extensions text NOT NULL DEFAULT '{}' CHECK (json_type(extensions) = 'object'),
    last_auth_method text CONSTRAINT ck_profiles_last_auth_method CHECK (last_auth_method IN
        ('google', 'apple', 'email_password', 'phone_password', 'phone_otp', 'email_otp')),
    last_auth_method_at integer,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE tenants (
    id text NOT NULL PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug <> '' AND slug = lower(slug)),
    name text NOT NULL,
    is_active integer NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    settings text NOT NULL DEFAULT '{}' CHECK (json_type(settings) = 'object'),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE memberships (
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'invited', 'pending', 'suspended')),
    invited_by text,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    ends_at integer,
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_user_id_idx ON memberships (user_id, tenant_id);
CREATE INDEX memberships_role_idx ON memberships (tenant_id, role, user_id);

CREATE TABLE relations (
    id text NOT NULL PRIMARY KEY,
    kind text NOT NULL CHECK (
        kind = 'care' AND object_id IS NOT NULL AND tenant_id IS NOT NULL
        OR kind = 'patient' AND object_id IS NULL AND tenant_id IS NOT NULL
        OR kind = 'agent' AND object_id IS NOT NULL AND tenant_id IS NULL),
    subject_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    object_id text REFERENCES users (id) ON DELETE CASCADE,
    tenant_id text REFERENCES tenants (id) ON DELETE CASCADE,
    starts_at integer NOT NULL,
    ends_at integer CHECK (ends_at >= starts_at),
    created_by text,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX relations_subject_idx ON relations (subject_id, kind, id);
CREATE INDEX relations_object_idx ON relations (object_id, kind, id);
CREATE INDEX relations_tenant_idx ON relations (tenant_id, kind, id);
CREATE INDEX relations_customers_idx ON relations (subject_id, object_id) WHERE kind = 'agent';
CREATE UNIQUE INDEX relations_one_open_key ON relations (kind, subject_id, coalesce(object_id, ''), coalesce(tenant_id, ''))
    WHERE ends_at IS NULL;
CREATE UNIQUE INDEX relations_one_agent_key ON relations (object_id) WHERE kind = 'agent' AND ends_at IS NULL;

-- +goose StatementBegin
CREATE TRIGGER relations_agent_insert AFTER INSERT ON relations
WHEN NEW.kind = 'agent' AND NEW.ends_at IS NULL AND NEW.starts_at <= NEW.created_at
BEGIN
    UPDATE users SET has_agent = 1 WHERE id = NEW.object_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER relations_agent_update AFTER UPDATE ON relations
WHEN OLD.kind = 'agent' OR NEW.kind = 'agent'
BEGIN
    UPDATE users SET has_agent = 0 WHERE id = OLD.object_id AND OLD.kind = 'agent' AND OLD.ends_at IS NULL;
    UPDATE users SET has_agent = 1
    WHERE id = NEW.object_id AND NEW.kind = 'agent' AND NEW.ends_at IS NULL AND NEW.starts_at <= NEW.created_at;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER relations_agent_delete AFTER DELETE ON relations
WHEN OLD.kind = 'agent' AND OLD.ends_at IS NULL
BEGIN
    UPDATE users SET has_agent = 0 WHERE id = OLD.object_id;
END;
-- +goose StatementEnd
