package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/pgtest"
)

// gotrueSchema is a part of GoTrue's schema, of a version that has columns we know nothing of.
const gotrueSchema = `
CREATE SCHEMA auth;
CREATE TABLE auth.users (instance_id uuid, id uuid PRIMARY KEY, aud varchar(255), role varchar(255), email varchar(255),
	encrypted_password varchar(255), email_confirmed_at timestamptz, last_sign_in_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb,
	created_at timestamptz, updated_at timestamptz, phone text, phone_confirmed_at timestamptz, banned_until timestamptz, is_sso_user boolean NOT NULL DEFAULT false,
	deleted_at timestamptz, is_anonymous boolean NOT NULL DEFAULT false, column_of_tomorrow int DEFAULT 7);
CREATE TABLE auth.identities (provider_id text, user_id uuid REFERENCES auth.users, identity_data jsonb, provider text, last_sign_in_at timestamptz,
	created_at timestamptz, updated_at timestamptz, email text GENERATED ALWAYS AS (lower(identity_data ->> 'email')) STORED, id uuid DEFAULT gen_random_uuid());
CREATE TABLE auth.mfa_factors (id uuid, user_id uuid, status text);
INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at)
	SELECT ('01020304-0506-4075-8000-' || lpad(n::text, 12, '0'))::uuid, 'authenticated', 'authenticated', 'user' || n || '@example.org',
		'$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e', now(), '{"provider":"email","providers":["email","google"]}', '{"n":1}', now()
	FROM generate_series(1, 30) n;
UPDATE auth.users SET deleted_at = now() WHERE email = 'user7@example.org';
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider) SELECT id::text, id, jsonb_build_object('email', email), 'email' FROM auth.users;
INSERT INTO auth.identities (provider_id, user_id, identity_data, provider) SELECT 'g' || email, id, '{}', 'google' FROM auth.users;
INSERT INTO auth.mfa_factors SELECT gen_random_uuid(), id, 'verified' FROM auth.users LIMIT 3;
CREATE SCHEMA dd_api;
CREATE TABLE dd_api.groups (doctor_email text UNIQUE, vendor_id int, password bytea, roles text[], permission text, is_active boolean, employee_id bigint,
	settings jsonb, admin_settings jsonb);
INSERT INTO dd_api.groups SELECT 'Doctor' || n || '@example.org', n % 19, '\xc30d0409030201', '{physician}', 'user', n <> 5, n, '{}', '{"a":1}' FROM generate_series(1, 44) n;`

// foreign is the database of another system.
func foreign(t *testing.T) (url string, exec func(sql string)) {
	t.Helper()
	url = pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	exec = func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(gotrueSchema)
	return url, exec
}

// C24: from a running GoTrue's database, which is only read, and resumed after its ids.
func TestImportFromDatabase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		url, exec := foreign(t)
		p.env = append(p.env, "OTHER="+url)
		out := p.must("import", "supabase", "--from", "env:OTHER", "--batch", "7")
		if !strings.Contains(out, "30 read: 29 imported, 0 imported before, 0 in the way of others, 0 refused\ndeleted there, anonymous, or no person: 1") || !strings.Contains(out, "second factors that stay behind, their owners have to set up new ones: 3") {
			t.Error(out)
		}
		all := p.everybody()
		if len(all) != 29 || all[0].User.ID.String() != "01020304-0506-4075-8000-000000000001" || len(all[0].User.Identities) != 2 ||
			all[0].User.EmailConfirmedAt.IsZero() {
			t.Errorf("%d accounts, %+v", len(all), all[0])
		}
		exec(`INSERT INTO auth.users (id, email) VALUES ('ff020304-0506-4075-8000-000000000001', 'late@example.org')`)
		if out := p.must("import", "supabase", "--from", url, "--resume"); !strings.Contains(out, "31 read: 1 imported, 0 imported before") {
			t.Error(out)
		}
		if out := p.must("import", "supabase", "--from", url); !strings.Contains(out, "31 read: 0 imported, 30 imported before") {
			t.Error(out)
		}
		code, out, errs := p.run("import", "groups", "--from", url, "--links", p.dir+"/links", "--links-key", p.dir+"/key")
		if code != 0 || !strings.Contains(out, "44 read: 44 imported") || !strings.Contains(out, "tenants: 19 new") || !strings.Contains(out, "links to set a password: 43") {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
		for _, tc := range []struct {
			name string
			args []string
			said string
		}{
			{"nobody there", []string{"supabase", "--from", "postgres://app:hunter2@127.0.0.1:1/x"}, "can't be read"},
			{"no such table", []string{"groups", "--from", url, "--table", "dd_api.nothing", "--links", p.dir + "/l2", "--links-key", p.dir + "/key"}, "does not exist"},
			{"a table that is none", []string{"groups", "--from", url, "--table", `x"; DROP SCHEMA auth CASCADE; --`, "--links", p.dir + "/l3", "--links-key", p.dir + "/key"}, "does not exist"},
			{"no URL", []string{"supabase", "--from", "here"}, "must be postgres://"},
			{"no variable", []string{"supabase", "--from", "env:NOTHING"}, "NOTHING is not set"},
			{"both", []string{"supabase", "--from", url, "--file", "x"}, "not both"},
		} {
			code, out, errs := p.run(append([]string{"import"}, tc.args...)...)
			if code == 0 || !strings.Contains(errs, tc.said) || strings.Contains(out+errs, "hunter2") {
				t.Errorf("%s: exit code %d\n%s%s", tc.name, code, out, errs)
			}
		}
		exec("SELECT 1 FROM auth.users") // still there
	}, "CARDEA_PRESET=dermadetect", "SECRET_KEY=0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f")
}
