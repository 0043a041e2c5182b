-- E-mail addresses and phone numbers that a person has beside the primary ones. What the
-- columns mean is said in the migration of this number for PostgreSQL.

-- +goose Up
CREATE TABLE user_identifiers (
    id text NOT NULL PRIMARY KEY,
    user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('email', 'phone')),
    value text NOT NULL CHECK (value <> ''),
    verified_at integer,
    code_hash text NOT NULL DEFAULT '',
    expires_at integer,
    attempts integer NOT NULL DEFAULT 0,
    sent_at integer NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE UNIQUE INDEX user_identifiers_own_key ON user_identifiers (user_id, kind, value);
CREATE UNIQUE INDEX user_identifiers_verified_key ON user_identifiers (kind, value) WHERE verified_at IS NOT NULL;
CREATE INDEX user_identifiers_expires_at_idx ON user_identifiers (expires_at) WHERE verified_at IS NULL;

-- An address is one account's, as its primary one or among the others. The message is the
-- one of the index that no table can have over two.
-- +goose StatementBegin
CREATE TRIGGER users_address_insert BEFORE INSERT ON users
BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: users.email') WHERE NEW.is_sso_user = 0 AND EXISTS (
        SELECT 1 FROM user_identifiers i WHERE i.kind = 'email' AND i.value = NEW.email AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: users.phone') WHERE EXISTS (
        SELECT 1 FROM user_identifiers i WHERE i.kind = 'phone' AND i.value = NEW.phone AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_address_update BEFORE UPDATE OF email, phone ON users
WHEN OLD.email IS NOT NEW.email OR OLD.phone IS NOT NEW.phone
BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: users.email') WHERE NEW.is_sso_user = 0 AND OLD.email IS NOT NEW.email AND EXISTS (
        SELECT 1 FROM user_identifiers i WHERE i.kind = 'email' AND i.value = NEW.email AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: users.phone') WHERE OLD.phone IS NOT NEW.phone AND EXISTS (
        SELECT 1 FROM user_identifiers i WHERE i.kind = 'phone' AND i.value = NEW.phone AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id);
    DELETE FROM user_identifiers WHERE user_id = NEW.id
        AND (kind = 'email' AND value = NEW.email OR kind = 'phone' AND value = NEW.phone);
END;
-- +goose StatementEnd
