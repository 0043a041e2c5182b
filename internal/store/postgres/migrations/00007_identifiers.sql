-- E-mail addresses and phone numbers that a person has beside the primary ones.

-- +goose Up
CREATE TABLE auth.user_identifiers (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    verified_at timestamptz,
    code_hash text NOT NULL DEFAULT '',
    expires_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT user_identifiers_pkey PRIMARY KEY (id),
    CONSTRAINT user_identifiers_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT user_identifiers_kind_check CHECK (kind IN ('email', 'phone') AND value <> '')
);
CREATE UNIQUE INDEX user_identifiers_own_key ON auth.user_identifiers (user_id, kind, value);
CREATE UNIQUE INDEX user_identifiers_verified_key ON auth.user_identifiers (kind, value) WHERE verified_at IS NOT NULL;
CREATE INDEX user_identifiers_expires_at_idx ON auth.user_identifiers (expires_at) WHERE verified_at IS NULL;
COMMENT ON COLUMN auth.user_identifiers.code_hash IS 'Keyed hash of the code that one without verified_at waits for';
ALTER TABLE auth.user_identifiers ENABLE ROW LEVEL SECURITY;

-- An address is one account's, as its primary one or among the others. No index can say so
-- of two tables. Whoever writes a primary address takes a lock that others who do the same
-- share; whoever proves another one, which is rare, takes it alone, and then looks. There are
-- 64 of these locks, so that an import in one transaction takes few.
-- +goose StatementBegin
CREATE FUNCTION auth.cardea_identifier_lock(address text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$ SELECT hashtext(address) & 63 $$;
-- +goose StatementEnd
-- Whoever may write an account need not be allowed to read this table. The address is not
-- in the error: it would go into the server's log.
-- +goose StatementBegin
CREATE FUNCTION auth.cardea_own_address() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.email <> '' AND NOT NEW.is_sso_user AND (TG_OP = 'INSERT' OR NEW.email IS DISTINCT FROM OLD.email) THEN
        PERFORM pg_advisory_xact_lock_shared(1667330657, auth.cardea_identifier_lock(NEW.email));
        IF EXISTS (SELECT FROM auth.user_identifiers i WHERE i.kind = 'email' AND i.value = NEW.email
            AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id) THEN
            RAISE EXCEPTION USING ERRCODE = 'unique_violation', CONSTRAINT = 'users_email_partial_key',
                MESSAGE = 'another account has this address';
        END IF;
    END IF;
    IF NEW.phone <> '' AND (TG_OP = 'INSERT' OR NEW.phone IS DISTINCT FROM OLD.phone) THEN
        PERFORM pg_advisory_xact_lock_shared(1667330657, auth.cardea_identifier_lock(NEW.phone));
        IF EXISTS (SELECT FROM auth.user_identifiers i WHERE i.kind = 'phone' AND i.value = NEW.phone
            AND i.verified_at IS NOT NULL AND i.user_id <> NEW.id) THEN
            RAISE EXCEPTION USING ERRCODE = 'unique_violation', CONSTRAINT = 'users_phone_key',
                MESSAGE = 'another account has this number';
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' THEN -- it is the primary one now
        DELETE FROM auth.user_identifiers i WHERE i.user_id = NEW.id
            AND (i.kind = 'email' AND i.value = NEW.email OR i.kind = 'phone' AND i.value = NEW.phone);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER cardea_address_insert BEFORE INSERT ON auth.users FOR EACH ROW
    WHEN (NEW.email <> '' OR NEW.phone <> '') EXECUTE FUNCTION auth.cardea_own_address();
CREATE TRIGGER cardea_address_update BEFORE UPDATE OF email, phone ON auth.users FOR EACH ROW
    WHEN (OLD.email IS DISTINCT FROM NEW.email OR OLD.phone IS DISTINCT FROM NEW.phone)
    EXECUTE FUNCTION auth.cardea_own_address();
