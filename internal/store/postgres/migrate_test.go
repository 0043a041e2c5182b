package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
	"github.com/cardea-auth/cardea/internal/store/storetest"
)

func openURL(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestMigrateFromEmptyAndAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := openURL(t, url)
	if err := s.CheckSchema(t.Context()); !errors.Is(err, postgres.ErrSchemaOlder) {
		t.Fatalf("empty database: %v, want ErrSchemaOlder", err)
	}
	for range 2 {
		if err := postgres.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		current, wanted, err := s.SchemaVersion(t.Context())
		if err != nil || current != wanted || current == 0 {
			t.Fatalf("version %d, wanted %d, error %v", current, wanted, err)
		}
		if err := s.CheckSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// An existing database, of the first release, gets what is new and keeps what it has.
func TestMigrateFromEarlier(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	exec(t, connect(t, url), "CREATE SCHEMA auth")
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"), goose.WithTableName("auth.cardea_migrations"),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	s := openURL(t, url)
	// As the first release wrote it, with a role that somebody had put there by hand.
	want := account(1).User
	exec(t, connect(t, url), `INSERT INTO auth.users (id, aud, email, encrypted_password, raw_app_meta_data)
		VALUES ($1, $2, $3, $4, '{"roles": ["admin", 7, "admin"]}')`, want.ID.String(), want.Aud, want.Email, want.PasswordHash)
	exec(t, connect(t, url), `INSERT INTO auth.users (id, raw_app_meta_data) VALUES ($1, '{"roles": "admin"}')`, id('u', 2).String())
	if err := s.CheckSchema(t.Context()); !errors.Is(err, postgres.ErrSchemaOlder) {
		t.Errorf("CheckSchema: %v, want ErrSchemaOlder", err)
	}
	for range 2 {
		if err := postgres.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.UserByID(t.Context(), want.ID); err != nil || got.Email != want.Email {
		t.Errorf("account: %+v, %v", got, err)
	}
	admins, err := s.ListPeople(t.Context(), auth.PersonQuery{Role: "admin", At: t0, Limit: 10})
	if err != nil || len(admins) != 1 || admins[0].User.ID != want.ID || !admins[0].Profile.Active {
		t.Errorf("admins: %+v, %v", admins, err)
	}
	r := issue(t, s, 10)
	if res, err := s.RedeemOneTime(t.Context(), r); err != nil || res.Outcome != auth.RedeemDone {
		t.Errorf("outcome %d, %v", res.Outcome, err)
	}
}

func TestMigrateIntoAnExistingSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	exec(t, connect(t, url), "CREATE SCHEMA auth; CREATE TABLE auth.notes (n int)")
	if err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
}

// Six nodes that start at once, on two databases whose roles they share.
func TestMigrateByManyNodesAtOnce(t *testing.T) {
	t.Parallel()
	urls := []string{pgtest.New(t), pgtest.New(t)}
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 6 {
		g.Go(func() error { return postgres.Migrate(ctx, urls[i%2]) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		var rows, distinct int
		err := connect(t, url).QueryRow(t.Context(),
			"SELECT count(*), count(DISTINCT version_id) FROM auth.cardea_migrations").Scan(&rows, &distinct)
		if err != nil || rows != distinct || rows < 2 {
			t.Fatalf("%d entries, %d different, error %v: each migration must run once", rows, distinct, err)
		}
	}
}

func TestSchemaNewerThanTheProgram(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	exec(t, conn, "INSERT INTO auth.cardea_migrations (version_id, is_applied) VALUES (90000, true)")
	if err := s.CheckSchema(t.Context()); !errors.Is(err, postgres.ErrSchemaNewer) {
		t.Errorf("CheckSchema: %v, want ErrSchemaNewer", err)
	}
	if err := postgres.Migrate(t.Context(), conn.Config().ConnString()); !errors.Is(err, postgres.ErrSchemaNewer) {
		t.Errorf("Migrate: %v, want ErrSchemaNewer", err)
	}
}

// An ordinary account that owns its database can migrate. It is told about roles that it
// may not make, and only about these.
func TestMigrateWithoutTheRightToCreateRoles(t *testing.T) {
	t.Parallel()
	admin := pgtest.New(t)
	conn := connect(t, admin)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	role := "owner_of_" + database
	exec(t, conn, "CREATE ROLE "+role+" LOGIN PASSWORD 'only-for-this-test'; ALTER DATABASE "+database+" OWNER TO "+role)
	t.Cleanup(func() {
		for _, sql := range []string{"REASSIGN OWNED BY " + role + " TO CURRENT_USER", "DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
		_ = conn.Close(context.Background())
	})
	u.User = url.UserPassword(role, "only-for-this-test")
	var notices []string
	if err := postgres.MigrateNotify(t.Context(), u.String(), func(m string) { notices = append(notices, m) }); err != nil {
		t.Fatal(err)
	}
	for _, m := range notices { // none when another test has made the roles before
		if !strings.Contains(m, "as a superuser run: ") {
			t.Errorf("notice without advice: %s", m)
		}
	}
	s := openURL(t, u.String())
	create(t, s, 1)
	if _, err := s.UserByID(t.Context(), id('u', 1)); err != nil {
		t.Errorf("the owner is subject to row-level security: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	const nowhere = "postgres://u:secret-word@127.0.0.1:1/db?connect_timeout=1"
	s := openURL(t, nowhere)
	for what, err := range map[string]error{
		"CheckSchema": s.CheckSchema(t.Context()), "Ping": s.Ping(t.Context()), "Migrate": postgres.Migrate(t.Context(), nowhere),
	} {
		if err == nil || errors.Is(err, postgres.ErrSchemaOlder) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"bad URL":                          "postgres://u:secret-word@host:port/db",
		"a mode that cannot carry results": "postgres://u:secret-word@host/db?default_query_exec_mode=simple_protocol",
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Behind a pooler that keeps no prepared statements.
func TestCacheDescribe(t *testing.T) {
	t.Parallel()
	s := openURL(t, pgtest.NewMigrated(t, migrate)+"&default_query_exec_mode=cache_describe")
	want := create(t, s, 1).User
	got, err := s.UserByEmail(t.Context(), want.Email, want.Aud)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	role := "nurse"
	if _, err := s.UpdateUser(t.Context(), want.ID, auth.UserPatch{At: t0, Role: &role}); err != nil {
		t.Error(err)
	}
}

// The names and order of GoTrue's columns, so that what was written for Supabase works.
func TestColumns(t *testing.T) {
	t.Parallel()
	s, _ := open(t, postgres.Config{})
	got, err := s.Columns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"identities": "provider_id user_id identity_data provider last_sign_in_at created_at updated_at email id",
		"sessions": "id user_id created_at updated_at factor_id aal not_after refreshed_at user_agent ip tag oauth_client_id " +
			"refresh_token_hmac_key refresh_token_counter scopes refresh_token_parent name tenant_id",
		"mfa_amr_claims":    "session_id created_at updated_at authentication_method id",
		"audit_log_entries": "instance_id id payload created_at ip_address",
		"mfa_factors": "id user_id friendly_name factor_type status created_at updated_at secret phone last_challenged_at " +
			"web_authn_credential web_authn_aaguid last_webauthn_challenge_data",
		"one_time_tokens": "id user_id token_type token_hash relates_to created_at updated_at purpose code_hash flow_state_id " +
			"expires_at attempts paired",
		"flow_state": "id user_id auth_code code_challenge_method code_challenge provider_type provider_access_token " +
			"provider_refresh_token created_at updated_at authentication_method auth_code_issued_at invite_token referrer " +
			"oauth_client_state_id linking_target_id email_optional",
		"users": "instance_id id aud role email encrypted_password email_confirmed_at invited_at confirmation_token " +
			"confirmation_sent_at recovery_token recovery_sent_at email_change_token_new email_change email_change_sent_at " +
			"last_sign_in_at raw_app_meta_data raw_user_meta_data is_super_admin created_at updated_at phone phone_confirmed_at " +
			"phone_change phone_change_token phone_change_sent_at confirmed_at email_change_token_current " +
			"email_change_confirm_status banned_until reauthentication_token reauthentication_sent_at is_sso_user deleted_at is_anonymous " +
			"is_active has_agent",
	}
	for table, columns := range want {
		if d := cmp.Diff(strings.Fields(columns), got[table]); d != "" {
			t.Errorf("%s (-want +got):\n%s", table, d)
		}
	}
	if _, ok := got["cardea_migrations"]; ok || len(got) != 27 {
		t.Errorf("tables: %d", len(got))
	}
}

// Both databases have the same tables with the same columns.
func TestSameSchemaAsSQLite(t *testing.T) {
	t.Parallel()
	s, _ := open(t, postgres.Config{})
	ours, err := s.Columns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cardea.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	other, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	theirs, err := other.Columns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Schema(t, ours, theirs)
}

// BenchmarkCheckSchema: what serve adds to its start is far below its budget of 60 ms (C23).
func BenchmarkCheckSchema(b *testing.B) {
	url := pgtest.NewMigrated(b, migrate)
	for b.Loop() {
		s, err := postgres.Open(b.Context(), postgres.Config{URL: url, ConnectTimeout: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.CheckSchema(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
