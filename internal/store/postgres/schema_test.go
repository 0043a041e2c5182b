package postgres_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// C23: what policies are written with. Both forms of PostgREST, and nothing without a
// token, also when an earlier transaction has left the setting behind as ”.
func TestPolicyFunctions(t *testing.T) {
	t.Parallel()
	const (
		sub    = "01020304-0506-7075-8000-000000000001"
		claims = `{"sub":"` + sub + `","role":"authenticated","email":"a@example.com","aal":"aal2"}`
	)
	type result struct{ UID, Role, Email, AAL *string }
	text := func(s string) *string { return &s }
	full := result{text(sub), text("authenticated"), text("a@example.com"), text("aal2")}
	_, conn := open(t, postgres.Config{})
	for _, c := range []struct {
		name     string
		settings map[string]string
		want     result
	}{
		{"no token", nil, result{}},
		{"document", map[string]string{"request.jwt.claims": claims}, full},
		{"the document has gone again", nil, result{}},
		{"one setting for each claim", map[string]string{
			"request.jwt.claim.sub": sub, "request.jwt.claim.role": "authenticated", "request.jwt.claim.email": "a@example.com",
			"request.jwt.claim": claims,
		}, full},
		{"one setting goes before the document", map[string]string{"request.jwt.claim.role": "anon", "request.jwt.claims": claims},
			result{full.UID, text("anon"), full.Email, full.AAL}},
		{"all empty", map[string]string{
			"request.jwt.claims": "", "request.jwt.claim": "", "request.jwt.claim.sub": "", "request.jwt.claim.role": "",
			"request.jwt.claim.email": "",
		}, result{}},
		{"an anonymous API key", map[string]string{"request.jwt.claims": `{"role":"anon"}`}, result{Role: text("anon")}},
		{"empty claims", map[string]string{"request.jwt.claims": `{"sub":"","role":"","email":""}`}, result{}},
	} {
		for _, role := range []string{"anon", "authenticated", "service_role"} {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.settings {
				if _, err := tx.Exec(t.Context(), "SELECT set_config($1, $2, true)", k, v); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+role); err != nil {
				t.Fatal(err)
			}
			var got result
			err = tx.QueryRow(t.Context(), "SELECT auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'aal'").
				Scan(&got.UID, &got.Role, &got.Email, &got.AAL)
			if err != nil {
				t.Fatalf("%s as %s: %v", c.name, role, err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s as %s (-want +got):\n%s", c.name, role, d)
			}
			if err := tx.Commit(t.Context()); err != nil { // so that settings come back as ''
				t.Fatal(err)
			}
		}
	}
}

// A careless grant on the whole schema opens nothing.
func TestTablesAreClosed(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	exec(t, conn, "GRANT ALL ON ALL TABLES IN SCHEMA auth TO anon, authenticated")
	tables, err := s.Columns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for table := range tables { // also those that are empty here
		var closed bool
		err := conn.QueryRow(t.Context(), "SELECT relrowsecurity FROM pg_class WHERE oid = ('auth.' || $1)::regclass", table).Scan(&closed)
		if err != nil || !closed {
			t.Errorf("row-level security of %s: %v (%v)", table, closed, err)
		}
	}
	for _, role := range []string{"anon", "authenticated"} {
		exec(t, conn, "SET ROLE "+role)
		for table := range tables {
			var n int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM auth."+table).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s sees %d rows of %s (%v)", role, n, table, err)
			}
		}
		exec(t, conn, "RESET ROLE")
	}
}

// GoTrue answers 500 when a row that was inserted by hand has NULL where it writes an empty text
// (its issue 1940). Here such a row is an account like any other.
func TestRowInsertedByHand(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	user, other := id('u', 1), id('u', 2)
	exec(t, conn, `INSERT INTO auth.users (id, aud, email, confirmation_token, recovery_token, email_change_token_new, email_change,
		phone_change, phone_change_token, email_change_token_current, email_change_confirm_status, reauthentication_token)
		VALUES ($1, 'authenticated', 'hand@example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`, user.String())
	exec(t, conn, `INSERT INTO auth.identities (user_id, provider, provider_id, identity_data) VALUES ($1, 'email', 'x', '{}')`, user.String())
	exec(t, conn, `INSERT INTO auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
		VALUES ($1, $2, 'totp', 'verified', now(), now())`, id('f', 1).String(), user.String())
	exec(t, conn, `INSERT INTO auth.sessions (id, user_id) VALUES ($1, $2)`, id('s', 1).String(), user.String())
	exec(t, conn, `INSERT INTO auth.users (id) VALUES ($1)`, other.String())
	exec(t, conn, `UPDATE auth.users SET raw_user_meta_data = '[1]', raw_app_meta_data = 'null', banned_until = 'infinity'
		WHERE id = $1`, other.String())

	u, err := s.UserByEmail(t.Context(), "hand@example.com", "authenticated")
	if err != nil {
		t.Fatal(err)
	}
	if u.Role != auth.RoleAuthenticated || string(u.AppMetadata) != `{}` || len(u.Identities) != 1 || !u.HasVerifiedFactor() {
		t.Errorf("account: %+v", u)
	}
	r, err := s.RotateRefresh(t.Context(), auth.Rotation{SessionID: id('s', 1), At: t0})
	if err != nil || r.Outcome != auth.Rotated || r.Session.Counter != 1 {
		t.Errorf("refresh: %+v, %v", r, err)
	}
	if err := start(t.Context(), s, auth.SessionStart{Session: session(2, 1), Audit: entry(1)}); err != nil {
		t.Errorf("sign-in: %v", err)
	}
	if _, err := s.UpdateUser(t.Context(), user, auth.UserPatch{At: t0, UserMetadata: auth.MetadataPatch{Delete: []string{"x"}}}); err != nil {
		t.Errorf("update: %v", err)
	}

	// "Banned for good", written by hand, must not read as "not banned".
	if u, err = s.UserByID(t.Context(), other); err != nil || !u.BannedAt(t0.AddDate(1000, 0, 0)) {
		t.Errorf("banned until infinity: %+v, %v", u, err)
	}
	if err := start(t.Context(), s, auth.SessionStart{Session: session(3, 2), Audit: entry(2)}); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("sign-in of a banned account: %v", err)
	}
	// Documents that are no objects are replaced by the first change.
	patch := auth.MetadataPatch{Set: map[string]json.RawMessage{"a": json.RawMessage(`1`)}}
	u, err = s.UpdateUser(t.Context(), other, auth.UserPatch{At: t0, UserMetadata: patch, AppMetadata: patch})
	if err != nil || string(u.UserMetadata) != `{"a": 1}` || string(u.AppMetadata) != `{"a": 1}` {
		t.Errorf("metadata: %s %s, %v", u.UserMetadata, u.AppMetadata, err)
	}
}

// What nearly every Supabase application has: a table that refers to auth.users, filled
// by a trigger from the metadata of the sign-up.
func TestApplicationTrigger(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	exec(t, conn, `
		CREATE TABLE public.profiles (id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE, full_name text NOT NULL);
		CREATE FUNCTION public.handle_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
		BEGIN
			INSERT INTO public.profiles (id, full_name) VALUES (new.id, new.raw_user_meta_data ->> 'full_name');
			RETURN new;
		END $$;
		CREATE TRIGGER on_auth_user_created AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.handle_new_user()`)
	create(t, s, 1)
	profiles := func() (names []string) {
		rows, err := conn.Query(t.Context(), "SELECT full_name FROM public.profiles")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return names
	}
	if d := cmp.Diff([]string{"Ada"}, profiles()); d != "" {
		t.Error(d)
	}
	// When the trigger fails, so does the sign-up, and nothing of it stays.
	a := account(2)
	a.User.UserMetadata = nil
	if err := s.CreateAccount(t.Context(), a); err == nil {
		t.Error("a failing trigger went unnoticed")
	}
	if _, err := s.UserByID(t.Context(), a.User.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("half an account: %v", err)
	}
	if err := s.DeleteUser(t.Context(), id('u', 1), entry(9)); err != nil || len(profiles()) != 0 {
		t.Errorf("deletion: %v, left %v", err, profiles())
	}
}

// Every device signs out everywhere at once: nobody may wait for each other in a circle.
// One deletes all sessions, the others find theirs gone.
func TestSignOutEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t, postgres.Config{})
	create(t, s, 1)
	for round := range byte(10) {
		const devices = 8
		for d := range byte(devices) {
			st := auth.SessionStart{Session: session(10+d, 1), Audit: entry(100 + round*devices + d)}
			if err := start(t.Context(), s, st); err != nil {
				t.Fatal(err)
			}
		}
		var g errgroup.Group
		won := make([]bool, devices)
		for d := range byte(devices) {
			g.Go(func() error {
				end := auth.EndSessions{UserID: id('u', 1), SessionID: id('s', 10+d), Which: auth.RevokeAll, Audit: entry(d)}
				end.Audit.ID = id('a'+1+round, d)
				_, err := s.EndSessions(t.Context(), end)
				won[d] = err == nil
				if errors.Is(err, auth.ErrNotFound) {
					return nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		if winners != 1 {
			t.Fatalf("%d devices ended all sessions, want 1", winners)
		}
	}
}

// The attack that RequireSession stops: the owner ends all other sessions while the
// thief, in one of them, changes the password. The thief waits for the owner's lock, and
// must not act on what he saw before.
func TestRequireSessionAfterWaiting(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	owner, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "SELECT FROM auth.users WHERE id = $1 FOR NO KEY UPDATE", id('u', 1).String()); err != nil {
		t.Fatal(err)
	}
	stolen := "$stolen$"
	thief := make(chan error, 1)
	go func() {
		_, err := s.UpdateUser(t.Context(), id('u', 1), auth.UserPatch{At: t0, PasswordHash: &stolen, RequireSession: id('s', 1)})
		thief <- err
	}()
	waitForLock(t, owner.Conn().Config().ConnString())
	if _, err := owner.Exec(t.Context(), "DELETE FROM auth.sessions WHERE user_id = $1", id('u', 1).String()); err != nil {
		t.Fatal(err)
	}
	if err := owner.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-thief; !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("thief: %v, want ErrNotFound", err)
	}
	u, err := s.UserByID(t.Context(), id('u', 1))
	if err != nil || u.PasswordHash == stolen {
		t.Errorf("the account was taken over: %v", err)
	}
}

// waitForLock returns when some connection to the database waits for a lock.
func waitForLock(t *testing.T, url string) {
	t.Helper()
	conn := connect(t, url)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		var waiting bool
		err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
	t.Fatal("nobody waits for a lock")
}

// X16: what no plan can decide about goes at once, every table of it. user_roles is kept by a
// trigger of the account.
func TestOpensSomething(t *testing.T) {
	t.Parallel()
	for _, table := range auth.PersonalTables() {
		if len(table.Actions) == 0 && table.Name != "user_roles" && !slices.Contains(postgres.OpensSomething(), table.Name) {
			t.Errorf("nothing erases %s", table.Name)
		}
	}
}
