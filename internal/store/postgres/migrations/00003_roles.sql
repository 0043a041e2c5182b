-- The roles and functions that row-level security policies are written with.

-- +goose Up

-- Roles belong to the whole cluster: another database may have made them, or be making
-- them right now (hence the caught errors; internal_error is "tuple concurrently
-- updated"). An account that may not create roles is told what to do, and nothing else
-- of the migration depends on it.
-- +goose StatementBegin
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('anon', 'NOLOGIN NOINHERIT'),
        ('authenticated', 'NOLOGIN NOINHERIT'),
        ('service_role', 'NOLOGIN NOINHERIT BYPASSRLS'),
        ('authenticator', 'LOGIN NOINHERIT')) AS t (name, attributes)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name);
        BEGIN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'cardea: role % is missing and % may not create it; as a superuser run: CREATE ROLE % %',
                    wanted.name, current_user, wanted.name, wanted.attributes;
        END;
    END LOOP;

    FOR wanted IN SELECT rolname AS name FROM pg_catalog.pg_roles
        WHERE rolname IN ('anon', 'authenticated', 'service_role')
          AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'authenticator')
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_catalog.pg_auth_members m
            JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
            JOIN pg_catalog.pg_roles r ON r.oid = m.member
            WHERE g.rolname = wanted.name AND r.rolname = 'authenticator');
        BEGIN
            EXECUTE format('GRANT %I TO authenticator', wanted.name);
        EXCEPTION
            WHEN unique_violation OR internal_error THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'cardea: % may not do it; as a superuser run: GRANT % TO authenticator',
                    current_user, wanted.name;
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- Both forms of PostgREST are read: one setting per claim (old) and one document.
-- Settings that were once set in a session read as '' afterwards: that is no value.
CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''))::uuid
$$;

CREATE OR REPLACE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', ''))
$$;

CREATE OR REPLACE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim.email', true), ''),
        nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email', ''))
$$;

CREATE OR REPLACE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;

COMMENT ON FUNCTION auth.uid() IS 'Id of the account that the request acts for; NULL without a token';
COMMENT ON FUNCTION auth.role() IS 'Database role that the request acts as; NULL without a token';
COMMENT ON FUNCTION auth.email() IS 'E-mail address of the account that the request acts for; NULL without a token';
COMMENT ON FUNCTION auth.jwt() IS 'All claims of the token of the request; NULL without a token';

-- +goose StatementBegin
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles
        WHERE rolname IN ('anon', 'authenticated', 'service_role')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA auth TO %I', grantee);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION auth.uid(), auth.role(), auth.email(), auth.jwt() TO %I', grantee);
    END LOOP;
END
$$;
-- +goose StatementEnd
