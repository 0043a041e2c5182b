package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// gotrue is a database as a GoTrue leaves it, with a hundred accounts.
func gotrue(url string) error { return gotruetest.Make(context.Background(), url, 100, t0) }

func adoption(url string) postgres.AdoptConfig {
	return postgres.AdoptConfig{URL: url, Audience: "authenticated", Now: time.Now}
}

// adopted is a taken over database, brought up to date.
func adopted(t *testing.T) (url string, conn *pgx.Conn) {
	t.Helper()
	url = pgtest.NewMigrated(t, gotrue)
	if r, err := postgres.Adopt(t.Context(), adoption(url)); err != nil {
		t.Fatalf("%v %+v", err, r.Problems)
	}
	if err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url, connect(t, url)
}

// catalogue is everything that the system tables say of the tables, types and functions of
// a schema, one line for each thing, without owners and grants.
func catalogue(t *testing.T, conn *pgx.Conn, schema string) map[string]string {
	t.Helper()
	exec(t, conn, "SET search_path = pg_catalog") // so that every name is spelt out
	rows, err := conn.Query(t.Context(), `
		WITH c AS (SELECT oid, relname, relrowsecurity, relkind, coalesce(reloptions, '{}') AS options FROM pg_class
			WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'v') AND relname <> 'cardea_adoption')
		SELECT 'table ' || relname, format('%s rls=%s options=%s', relkind, relrowsecurity, options) FROM c
		UNION ALL SELECT 'column ' || relname || '.' || attname, format('%s%s default=%s%s', format_type(atttypid, atttypmod),
				CASE WHEN attnotnull THEN ' not null' END, pg_get_expr(adbin, adrelid), attgenerated)
			FROM c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
		UNION ALL SELECT 'constraint ' || relname || '.' || conname, pg_get_constraintdef(k.oid) FROM c JOIN pg_constraint k ON conrelid = c.oid AND contype <> 'n'
		UNION ALL SELECT 'index ' || i.relname, pg_get_indexdef(i.oid) || coalesce(' ' || i.reloptions::text, '')
			FROM c JOIN pg_index ON indrelid = c.oid JOIN pg_class i ON i.oid = indexrelid
		UNION ALL SELECT 'trigger ' || relname || '.' || tgname, pg_get_triggerdef(t.oid) || ' ' || tgenabled::text
			FROM c JOIN pg_trigger t ON tgrelid = c.oid AND NOT tgisinternal
		UNION ALL SELECT 'policy ' || relname || '.' || polname, format('%s %s %s %s', polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
			FROM c JOIN pg_policy ON polrelid = c.oid
		UNION ALL SELECT 'function ' || proname, format('%s %s %s %s %s', prosrc, provolatile, prosecdef, proconfig, prorettype::regtype)
			FROM pg_proc WHERE pronamespace = $1::text::regnamespace
		UNION ALL SELECT 'label ' || typname || '.' || enumlabel, '' FROM pg_enum JOIN pg_type t ON t.oid = enumtypid WHERE typnamespace = $1::text::regnamespace`, schema)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var name, text string
	if _, err := pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		found[name] = text
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "RESET search_path")
	return found
}

// grants are the owners and rights in a schema.
func grants(t *testing.T, conn *pgx.Conn, schema string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') FROM pg_class
		WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'v')
		UNION ALL SELECT proname || ' ' || proowner::regrole || ' ' || coalesce(proacl::text, '') FROM pg_proc WHERE pronamespace = $1::text::regnamespace
		ORDER BY 1`, schema)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// C24: an adopted schema is the one that the migrations make, in everything that they make.
// What it has besides is GoTrue's, and is what it was.
func TestAdoptedSchema(t *testing.T) {
	t.Parallel()
	before := catalogue(t, connect(t, pgtest.NewMigrated(t, gotrue)), "auth")
	_, conn := adopted(t)
	after := catalogue(t, conn, "auth")
	_, fresh := open(t, postgres.Config{})
	ours := catalogue(t, fresh, "auth")

	for name, want := range ours {
		if got, ok := after[name]; !ok || got != want {
			t.Errorf("%s: after the adoption\n%s\nby the migrations\n%s", name, got, want)
		}
	}
	for name := range after {
		if _, both := ours[name]; !both && before[name] != after[name] {
			t.Errorf("%s is neither ours nor GoTrue's", name)
		}
	}
	// What of GoTrue's own has changed, and why.
	changed := map[string]string{
		"column users.confirmation_token":     "default ''", // GoTrue fails on NULL
		"column users.recovery_token":         "default ''",
		"column users.email_change_token_new": "default ''",
		"column users.email_change":           "default ''",
		"table users":                         "free room on pages",
		"table identities":                    "free room on pages",
		"table sessions":                      "free room on pages",
		"table one_time_tokens":               "free room on pages",
		"function uid":                        "an empty claim is no claim",
		"function role":                       "an empty claim is no claim",
		"function email":                      "an empty claim is no claim",
	}
	for name, was := range before {
		if after[name] != was && changed[name] == "" {
			t.Errorf("%s: was\n%s\nis\n%s", name, was, after[name])
		}
		if after[name] == was && changed[name] != "" {
			t.Errorf("%s is said to have changed, and has not", name)
		}
	}
	if len(before) < 200 || len(ours) < 200 {
		t.Errorf("%d and %d things compared", len(before), len(ours))
	}
}

// S3.15, S3.16: the application's tables, triggers, policies, views and grants are not touched,
// and no row is lost.
func TestAdoptLeavesTheApplicationAlone(t *testing.T) {
	t.Parallel()
	plain := connect(t, pgtest.NewMigrated(t, gotrue))
	_, conn := adopted(t)
	if d := cmp.Diff(catalogue(t, plain, "public"), catalogue(t, conn, "public")); d != "" {
		t.Errorf("schema public (-before +after):\n%s", d)
	}
	if d := cmp.Diff(grants(t, plain, "public"), grants(t, conn, "public")); d != "" {
		t.Errorf("rights in public (-before +after):\n%s", d)
	}
	after := grants(t, conn, "auth")
	for _, was := range grants(t, plain, "auth") {
		if !slices.Contains(after, was) {
			t.Errorf("rights: %s has gone", was)
		}
	}
	for _, is := range after { // a server that connects as GoTrue did must own what is new
		if name, owner, _ := strings.Cut(is, " "); !strings.HasPrefix(owner, "supabase_auth_admin") && adoptedTable(name) {
			t.Errorf("%s doesn't belong to the owner of GoTrue's tables", is)
		}
	}
	for _, sql := range []string{
		`SELECT count(*), md5(string_agg(u::text, '|' ORDER BY id)) FROM (SELECT id, instance_id, aud, role, email, encrypted_password, raw_app_meta_data,
			raw_user_meta_data, email_confirmed_at, phone, banned_until, created_at, updated_at, last_sign_in_at FROM auth.users) u`,
		`SELECT count(*), md5(string_agg(s::text, '|' ORDER BY id)) FROM (SELECT id, user_id, created_at, aal, refreshed_at, ip, refresh_token_counter FROM auth.sessions) s`,
		`SELECT count(*), md5(string_agg(i::text, '|' ORDER BY id)) FROM auth.identities i`,
		`SELECT count(*), md5(string_agg(f::text, '|' ORDER BY id)) FROM auth.mfa_factors f`,
		`SELECT count(*), md5(string_agg(a::text, '|' ORDER BY id)) FROM auth.audit_log_entries a`,
		`SELECT count(*), md5(string_agg(r::text, '|' ORDER BY id)) FROM auth.refresh_tokens r`,
		`SELECT count(*), md5(string_agg(p::text, '|' ORDER BY id)) FROM public.profiles p`,
	} {
		var n, m int
		var was, is string
		if err := plain.QueryRow(t.Context(), sql).Scan(&n, &was); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), sql).Scan(&m, &is); err != nil || m != n {
			t.Errorf("%s: %d rows, now %d (%v)", sql, n, m, err)
		}
		if was != is {
			t.Errorf("%s: rows have changed", sql)
		}
	}
}

// adoptedTable reports whether a thing of schema auth is one that the adoption itself makes.
func adoptedTable(name string) bool {
	return slices.Contains(strings.Fields("signing_keys api_keys outbox known_devices user_roles profiles tenants memberships relations cardea_adoption "+
		"cardea_migrations cardea_copy_roles cardea_note_agent"), name)
}

// Whatever is wrong is told, with what to do about it, and nothing is changed.
func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sql, want string }{
		{"unknown version", `INSERT INTO auth.schema_migrations VALUES ('20270101000000')`, `has version "20270101000000"`},
		{"no version", `DELETE FROM auth.schema_migrations`, `has version ""`},
		{"missing table", `DROP TABLE auth.one_time_tokens`, "auth.one_time_tokens is missing"},
		{"old schema", `ALTER TABLE auth.sessions DROP COLUMN scopes, DROP COLUMN refresh_token_counter`, "auth.sessions has no column refresh_token_counter, scopes"},
		{"changed type", `ALTER TABLE auth.identities DROP CONSTRAINT identities_user_id_fkey; ALTER TABLE auth.identities ALTER user_id TYPE text`,
			"auth.identities.user_id has type text, expected uuid"},
		{"renamed constraint", `ALTER TABLE auth.users RENAME CONSTRAINT users_phone_key TO my_phone_key`, "users_phone_key is missing"},
		{"accounts that differ in case", `DROP INDEX auth.users_email_partial_key; UPDATE auth.users SET email = 'User1@clinic.example' WHERE email = 'user2@clinic.example'`,
			gotruetest.UserID(1) + ", " + gotruetest.UserID(2)},
		{"encrypted passwords", `UPDATE auth.users SET encrypted_password = '{"alg":"aes-gcm-hkdf"}' WHERE email = 'user2@clinic.example'`, "1 accounts have a password that GoTrue has encrypted"},
		{"a table of the same name", `CREATE TABLE auth.profiles (id int)`, "auth.profiles is there already"},
		{"a column of the same name", `ALTER TABLE auth.users ADD COLUMN is_active boolean`, "auth.users.is_active is there already"},
		{"a view in place of the table", `ALTER TABLE auth.users RENAME TO people; CREATE VIEW auth.users AS SELECT * FROM auth.people`, "There is no GoTrue"},
		{"a missing label", `ALTER TYPE auth.factor_type RENAME VALUE 'phone' TO 'telephone'`, "factor_type.phone"},
		{"a function of somebody else", `ALTER FUNCTION auth.uid() OWNER TO postgres_of_test`, "auth.uid() belongs to"},
		{"no GoTrue", `DROP SCHEMA auth CASCADE`, "There is no GoTrue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.NewMigrated(t, gotrue)
			conn := connect(t, url)
			if c.name == "a function of somebody else" {
				other := fmt.Sprintf("other_of_%s", strings.ReplaceAll(conn.Config().Database, "-", "_"))
				exec(t, conn, "CREATE ROLE "+other)
				t.Cleanup(func() {
					if _, err := conn.Exec(context.Background(), "REASSIGN OWNED BY "+other+" TO CURRENT_USER; DROP ROLE "+other); err != nil {
						t.Error(err)
					}
				})
				c.sql = strings.ReplaceAll(c.sql, "postgres_of_test", other)
			}
			exec(t, conn, c.sql)
			exists := c.name != "no GoTrue"
			var before map[string]string
			if exists {
				before = catalogue(t, conn, "auth")
			}
			r, err := postgres.Adopt(t.Context(), adoption(url))
			if !errors.Is(err, postgres.ErrNotAdoptable) {
				t.Fatalf("%v %+v", err, r)
			}
			if !slices.ContainsFunc(r.Problems, func(p postgres.AdoptProblem) bool { return strings.Contains(p.What, c.want) && p.Fix != "" }) {
				t.Errorf("problems %q, want %q", r.Problems, c.want)
			}
			for _, p := range r.Problems {
				if strings.Contains(p.What, "@") {
					t.Errorf("an address is told: %s", p.What)
				}
			}
			if exists {
				if d := cmp.Diff(before, catalogue(t, conn, "auth")); d != "" {
					t.Errorf("something was changed:\n%s", d)
				}
			}
		})
	}
}

// A version that the operator has looked at.
func TestAdoptAcceptedVersion(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	exec(t, connect(t, url), `INSERT INTO auth.schema_migrations VALUES ('20270101000000')`)
	c := adoption(url)
	c.AcceptVersion = "20270101000000"
	if r, err := postgres.Adopt(t.Context(), c); err != nil || r.Version != c.AcceptVersion {
		t.Errorf("%v %+v", err, r)
	}
}

func TestAdoptDryRun(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	conn := connect(t, url)
	before := catalogue(t, conn, "auth")
	c := adoption(url)
	c.DryRun = true
	r, err := postgres.Adopt(t.Context(), c)
	if err != nil || r.Users != 100 || r.Sessions != 50 || len(r.Notes) == 0 || r.Version != gotruetest.Version {
		t.Errorf("%v %+v", err, r)
	}
	if d := cmp.Diff(before, catalogue(t, conn, "auth")); d != "" {
		t.Error(d)
	}
}

// Migrate alone must not begin to make tables that are there.
func TestMigrateRefusesGoTrue(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	conn := connect(t, url)
	before := catalogue(t, conn, "auth")
	if err := postgres.Migrate(t.Context(), url); !errors.Is(err, postgres.ErrForeignSchema) {
		t.Errorf("%v", err)
	}
	if d := cmp.Diff(before, catalogue(t, conn, "auth")); d != "" {
		t.Error(d)
	}
}

// The process dies in the middle: nothing has happened. Then six begin at once: one adopts,
// the others find it done, and so does whoever comes later.
func TestAdoptKilledAndAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	conn := connect(t, url)
	before := catalogue(t, conn, "auth")
	exec(t, conn, `CREATE FUNCTION public.die() RETURNS event_trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'auth.relations') THEN
				PERFORM pg_terminate_backend(pg_backend_pid());
			END IF;
		END $$;
		CREATE EVENT TRIGGER die ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.die()`)
	if _, err := postgres.Adopt(t.Context(), adoption(url)); err == nil {
		t.Fatal("survived")
	}
	if d := cmp.Diff(before, catalogue(t, conn, "auth")); d != "" {
		t.Fatalf("half a schema:\n%s", d)
	}
	exec(t, conn, "DROP EVENT TRIGGER die")

	var g errgroup.Group
	already := make([]bool, 6)
	for i := range already {
		g.Go(func() error {
			r, err := postgres.Adopt(t.Context(), adoption(url))
			already[i] = r.Already
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := slices.Index(already, false); n < 0 || slices.Contains(already[n+1:], false) {
		t.Errorf("adopted by several: %v", already)
	}
	done := catalogue(t, conn, "auth")
	if r, err := postgres.Adopt(t.Context(), adoption(url)); err != nil || !r.Already {
		t.Errorf("again: %+v, %v", r, err)
	}
	if d := cmp.Diff(done, catalogue(t, conn, "auth")); d != "" {
		t.Errorf("the second run changed something:\n%s", d)
	}
	var marks int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM auth.cardea_adoption").Scan(&marks); err != nil || marks != 1 {
		t.Errorf("%d marks, %v", marks, err)
	}
}

// Who reads the tables makes the adoption give up in time; who writes them is named.
func TestAdoptInUse(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	other := connect(t, url)
	exec(t, other, "BEGIN; SELECT FROM auth.users")
	c := adoption(url)
	c.LockTimeout = 50 * time.Millisecond
	if _, err := postgres.Adopt(t.Context(), c); !errors.Is(err, postgres.ErrLocked) {
		t.Errorf("a reader: %v", err)
	}
	exec(t, other, "UPDATE auth.users SET updated_at = now()")
	r, err := postgres.Adopt(t.Context(), c)
	if !errors.Is(err, postgres.ErrNotAdoptable) || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "who may write accounts") {
		t.Errorf("a writer: %v %+v", err, r.Problems)
	}
	exec(t, other, "ROLLBACK; SET ROLE NONE")
	exec(t, other, "SELECT pg_advisory_lock(x'63617264656131'::bigint)") // somebody migrates
	if _, err := postgres.Adopt(t.Context(), c); !errors.Is(err, postgres.ErrLocked) {
		t.Errorf("while somebody migrates: %v", err)
	}
}

// Addresses in capital letters are written in small ones; rows with NULL stay and work.
func TestAdoptRepairs(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, gotrue)
	conn := connect(t, url)
	exec(t, conn, `INSERT INTO auth.users (id, aud, email, confirmation_token) VALUES ($1, 'authenticated', 'By.Hand@Clinic.Example', NULL)`, id('u', 1).String())
	r, err := postgres.Adopt(t.Context(), adoption(url))
	if err != nil || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "1 accounts have capital") }) ||
		!slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "1 accounts were inserted by hand") }) {
		t.Fatalf("%v %+v", err, r)
	}
	if err := postgres.Migrate(t.Context(), url); err != nil { // what is newer than the adoption
		t.Fatal(err)
	}
	u, err := openURL(t, url).UserByEmail(t.Context(), "by.hand@clinic.example", "authenticated")
	if err != nil || u.ID != id('u', 1) {
		t.Errorf("%+v %v", u, err)
	}
}

func TestAdoptPlan(t *testing.T) {
	t.Parallel()
	plan, err := postgres.AdoptPlan()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BEGIN;", "LOCK TABLE", "ADD COLUMN is_active", "CREATE TABLE auth.tenants", "COMMIT;"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan has no %q", want)
		}
	}
	for _, never := range []string{"DROP TABLE", "DROP COLUMN", "RENAME", "TRUNCATE"} {
		if strings.Contains(plan, never) {
			t.Errorf("the plan has %q", never)
		}
	}
}

// The way back for good: after it, schema auth is what GoTrue had made, but for the few
// things that the guide names; and it can be adopted again.
func TestReleaseRemoves(t *testing.T) {
	t.Parallel()
	before := catalogue(t, connect(t, pgtest.NewMigrated(t, gotrue)), "auth")
	url, conn := adopted(t)
	// It was given back once before, and GoTrue has made a table that has a name of ours by now.
	if _, err := postgres.Release(t.Context(), postgres.ReleaseConfig{URL: url, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "CREATE TABLE auth.standby (kid text)")
	if r, err := postgres.Adopt(t.Context(), adoption(url)); err != nil || !r.Again {
		t.Fatalf("%v %+v", err, r)
	}
	exec(t, conn, "CREATE TABLE auth.somebody_elses (id int); CREATE INDEX somebody_elses_idx ON auth.users (invited_at)")
	r, err := postgres.Release(t.Context(), postgres.ReleaseConfig{URL: url, Remove: true, Now: time.Now})
	if err != nil {
		t.Fatalf("%v %+v", err, r)
	}
	if d := cmp.Diff([]string{"TABLE auth.somebody_elses", "auth.users INDEX auth.somebody_elses_idx"}, r.Left); d != "" {
		t.Errorf("left alone (-want +got):\n%s", d)
	}
	exec(t, conn, "DROP TABLE auth.standby; DROP TABLE auth.somebody_elses; DROP INDEX auth.somebody_elses_idx")
	after := catalogue(t, conn, "auth")
	stays := strings.Fields("users.confirmation_token users.recovery_token users.email_change_token_new users.email_change " +
		"users identities sessions one_time_tokens uid role email")
	for name, was := range before {
		_, short, _ := strings.Cut(name, " ")
		if after[name] != was && !slices.Contains(stays, short) {
			t.Errorf("%s: was\n%s\nis\n%s", name, was, after[name])
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s is left", name)
		}
	}
	if a, err := postgres.Adopt(t.Context(), adoption(url)); err != nil || a.Already || a.Again {
		t.Errorf("adopted anew: %v %+v", err, a)
	}
}
