-- $1 accounts as GoTrue leaves them. Numbers decide what an account has:
--   all: a password, an identity, one audit entry       odd: a session
--   1 mod 4: its tokens are rows (version 1)            3 mod 4: a key and a counter (version 2)
--   0 mod 10: a phone number                            0 mod 20: an identity of a provider
--   0 mod 25: a TOTP factor                             0 mod 50: an open one-time token
--   7 mod 1000: anonymous                               9 mod 1000: banned
WITH n AS (
    SELECT i, ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid AS id,
        'user' || i || '@clinic.example' AS email, timestamptz '2026-01-01' + i * interval '1 second' AS at,
        i % 1000 = 7 AS anonymous
    FROM generate_series(1, $1::int) AS i
), u AS (
    INSERT INTO auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, confirmation_token,
        recovery_token, email_change_token_new, email_change, last_sign_in_at, raw_app_meta_data, raw_user_meta_data,
        created_at, updated_at, phone, phone_confirmed_at, banned_until, is_anonymous)
    SELECT '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', CASE WHEN NOT anonymous THEN email END,
        CASE WHEN anonymous THEN '' ELSE ($2::text[])[1 + i % array_length($2, 1)] END, CASE WHEN NOT anonymous THEN at END, '', '', '', '', at,
        CASE WHEN anonymous THEN '{}'
            WHEN i % 20 = 0 THEN '{"provider": "email", "providers": ["email", "google"]}'
            ELSE '{"provider": "email", "providers": ["email"]}' END::jsonb,
        CASE WHEN anonymous THEN '{}' ELSE jsonb_build_object('sub', id, 'email', email, 'email_verified', true,
            'phone_verified', false, 'first_name', 'First' || i, 'last_name', 'Last' || i) END,
        at, at, CASE WHEN i % 10 = 0 THEN (491500000000 + i)::text END, CASE WHEN i % 10 = 0 THEN at END,
        CASE WHEN i % 1000 = 9 THEN timestamptz '2126-01-01' END, anonymous
    FROM n RETURNING id
), e AS (
    INSERT INTO auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
    SELECT id::text, id, jsonb_build_object('sub', id, 'email', email, 'email_verified', true, 'phone_verified', false),
        'email', at, at, at
    FROM n WHERE NOT anonymous
), g AS (
    INSERT INTO auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
    SELECT 'g' || i, id, jsonb_build_object('sub', 'g' || i, 'email', email, 'full_name', 'First' || i, 'iss', 'https://accounts.google.com'),
        'google', at, at, at
    FROM n WHERE i % 20 = 0
), s AS (
    INSERT INTO auth.sessions (id, user_id, created_at, updated_at, aal, refreshed_at, user_agent, ip,
        refresh_token_hmac_key, refresh_token_counter)
    SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid, id, $3, $3, 'aal1', $3::timestamptz AT TIME ZONE 'utc',
        'Mozilla/5.0', '192.0.2.1',
        CASE WHEN i % 4 = 3 THEN rtrim(translate(encode(sha256(convert_to('key' || i, 'utf8')), 'base64'), '+/', '-_'), '=') END,
        CASE WHEN i % 4 = 3 THEN i % 7 END
    FROM n WHERE i % 2 = 1
), c AS (
    INSERT INTO auth.mfa_amr_claims (session_id, created_at, updated_at, authentication_method, id)
    SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid, at, at, 'password', gen_random_uuid()
    FROM n WHERE i % 2 = 1
), r AS (
    INSERT INTO auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
    SELECT '00000000-0000-0000-0000-000000000000', translate(substr(encode(sha256(convert_to(i || '/' || k, 'utf8')), 'hex'), 1, 12), '0189', 'ghij'), id::text,
        k < 3, $3::timestamptz + k * interval '1 second', $3::timestamptz + k * interval '1 second',
        CASE WHEN k > 1 THEN translate(substr(encode(sha256(convert_to(i || '/' || (k - 1), 'utf8')), 'hex'), 1, 12), '0189', 'ghij') END,
        ('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid
    FROM n, generate_series(1, 3) AS k WHERE i % 4 = 1 ORDER BY i, k
), f AS (
    INSERT INTO auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret)
    SELECT gen_random_uuid(), id, 'phone', 'totp', 'verified', at, at, 'JBSWY3DPEHPK3PXP' FROM n WHERE i % 25 = 0
), t AS (
    INSERT INTO auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
    SELECT gen_random_uuid(), id, 'recovery_token', encode(sha224(convert_to(email || '123456', 'utf8')), 'hex'), email
    FROM n WHERE i % 50 = 0
)
INSERT INTO auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid(),
    json_build_object('action', 'login', 'actor_id', id, 'actor_username', email, 'actor_via_sso', false, 'log_type', 'account'), at, ''
FROM n
