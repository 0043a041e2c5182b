package moving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func migrate(url string) error { return postgres.Migrate(context.Background(), url) }

// onBoth runs a test on both databases, each with one of its own.
func onBoth(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, openSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s, _ := openPostgres(t)
		test(t, s)
	})
}

func openSQLite(tb testing.TB) store.Store {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "cardea.db")
	if err := sqlite.Migrate(tb.Context(), path); err != nil {
		tb.Fatal(err)
	}
	s, err := sqlite.Open(tb.Context(), sqlite.Config{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func openPostgres(tb testing.TB) (store.Store, string) {
	tb.Helper()
	url := pgtest.NewMigrated(tb, migrate)
	s, err := postgres.Open(tb.Context(), postgres.Config{URL: url, MaxConns: 4})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, url
}

// lines is a file of n users.
func users(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"external_id":"x%d","email":"user%d@example.org","password_hash":%q,"profile":{"full_name":"User %d"}}`+"\n", i, i, bcrypt, i)
	}
	return b.String()
}

// trial is an import whose problems are kept.
type trial struct {
	moving.Config

	problems []string
}

func newTrial(s moving.Store, batch int) *trial {
	tr := &trial{}
	tr.Config = moving.Config{
		Store: s, Rules: rules(), Name: "trial", Source: "elsewhere", Digest: "d", Batch: batch,
		Problem: func(p moving.Problem) error {
			tr.problems = append(tr.problems, fmt.Sprint(p.Line, " ", p.Code))
			return nil
		},
		Audit: func(p *auth.MoveProgress) (auth.AuditEntry, error) {
			id, err := auth.NewID(p.UpdatedAt, rules().Rand)
			return auth.AuditEntry{ID: id, At: p.UpdatedAt, Action: "users_imported", LogType: "team"}, err
		},
	}
	return tr
}

func (tr *trial) run(ctx context.Context, file string) (moving.Totals, error) {
	return moving.Import(ctx, tr.Config, func(auth.MoveProgress) (moving.Reader, error) { return moving.Cardea(strings.NewReader(file)), nil })
}

func (tr *trial) must(t *testing.T, file string) moving.Totals {
	t.Helper()
	totals, err := tr.run(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

// emails gives the addresses of everybody, in their order.
func emails(t *testing.T, s store.Store) []string {
	t.Helper()
	var list []string
	for after := (auth.ID{}); ; {
		page, err := s.CopyAccounts(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page {
			list = append(list, page[i].User.Email)
			after = page[i].User.ID
		}
		if len(page) < 1000 {
			return list
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		tr := newTrial(s, 7)
		same(t, "first", moving.Totals{Read: 20, Moved: 20}, tr.must(t, users(20)))
		same(t, "again", moving.Totals{Read: 20, Present: 20}, tr.must(t, users(20)))
		tr.Resume = true
		same(t, "resumed", moving.Totals{Read: 20, Skipped: 20}, tr.must(t, users(20)))
		tr.Digest = "a longer file"
		same(t, "another file", moving.Totals{Read: 25, Moved: 5, Present: 20}, tr.must(t, users(25)))
		same(t, "accounts", 25, len(emails(t, s)))
		same(t, "problems", []string(nil), tr.problems)
	})
}

// Half-broken files: line, code, and the rest goes on by choice.
func TestImportProblems(t *testing.T) {
	t.Parallel()
	const file = `{"external_id":"1","email":"ada@example.org"}
{"external_id":"2","email":"ADA@example.org"}
broken
{"external_id":"4","email":"x"}
{"external_id":"5"}
{"external_id":"6","email":"f@example.org","role":"service_role"}
{"external_id":"7","email":"g@example.org","app_metadata":{"roles":["admin"]}}
{"external_id":"8","email":"h@example.org","password_hash":"$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"}
{"external_id":"9","email":"i@example.org","memberships":[{"tenant":"south","role":"physician","state":"active"}]}
{"external_id":"10","email":"j@example.org","phone":"12"}
{"external_id":"11","email":"k@example.org","phone":"0"}
{"id":"7","email":"l@example.org"}
{"external_id":"13","email":"m@example.org","identities":[{"provider":"google","provider_id":"g"},{"provider":"google","provider_id":"g"}]}
{"external_id":"14","email":"n@example.org","identities":[{"provider":"google","provider_id":"g"}]}
{"external_id":"15","email":"o@example.org","identities":[{"provider":"google","provider_id":"g"}]}
{"external_id":"16","email":"p@example.org","phone":"12"}
{"external_id":"1","email":"q@example.org"}
{"external_id":"18","email":"r@example.org","created_at":"9999-01-01T00:00:00Z"}
{"external_id":"19","email":"s@example.org","profile":{"full_name":"S","extensions":{"root":{}}}}
{"external_id":"20","email":"t@example.org"}
`
	want := []string{
		"2 email_taken", "3 bad_form", "4 bad_email", "5 no_identifier", "6 bad_database_role", "7 unknown_role", "8 bad_hash", "9 unknown_tenant",
		"11 bad_phone", "12 bad_id", "13 bad_form", "15 identity_taken", "16 phone_taken", "18 bad_time", "19 bad_profile",
	}
	onBoth(t, func(t *testing.T, s store.Store) {
		for _, batch := range []int{100, 1} { // the second time into a database that has them
			tr := newTrial(s, batch)
			tr.Name, tr.Source = fmt.Sprint("batch ", batch), "elsewhere"
			totals := tr.must(t, file)
			got := map[string]bool{}
			for _, p := range tr.problems {
				got[p] = true
			}
			for _, p := range want {
				if !got[p] {
					t.Errorf("batches of %d: %q is missing in %q", batch, p, tr.problems)
				}
			}
			same(t, "problems", len(want), len(tr.problems))
			same(t, "sum", totals.Read, totals.Moved+totals.Present+totals.Taken+totals.Refused)
		}
		same(t, "accounts", 4, len(emails(t, s)))

		stop := newTrial(s, 100)
		stop.Stop, stop.Name, stop.Source = true, "stopping", "third"
		totals, err := stop.run(t.Context(), users(3)+"broken\n"+users(5))
		if !errors.Is(err, moving.ErrStopped) {
			t.Errorf("error %v", err)
		}
		same(t, "before the problem", moving.Totals{Read: 3, Moved: 3, Refused: 1}, totals)
		stop.Resume = true
		same(t, "after mending", moving.Totals{Read: 6, Skipped: 3, Moved: 3}, stop.must(t, users(3)+users(6)[len(users(3)):]))
	})
}

func TestImportLenient(t *testing.T) {
	t.Parallel()
	const file = `{"external_id":"1","email":"ada@example.org","password_hash":"$1$old$hash","app_metadata":{"roles":["admin","physician"]},"memberships":[{"tenant":"south","role":"physician","state":"active"}],"profile":{"full_name":"<b>Ada</b>\u0007","birth_date":"soon","image_url":"javascript:alert(1)","language":"de"},"second_factors":2}`
	onBoth(t, func(t *testing.T, s store.Store) {
		tr := newTrial(s, 10)
		tr.Rules.DropBadHashes, tr.Rules.DropUnknown, tr.Rules.ConfirmAll = true, true, true
		same(t, "totals", moving.Totals{Read: 1, Moved: 1, Dropped: moving.Dropped{Hash: 1, Roles: 1, Members: 1, Profile: 2, Factors: 2}}, tr.must(t, file))
		page, err := s.CopyAccounts(t.Context(), auth.ID{}, 10)
		if err != nil || len(page) != 1 {
			t.Fatal(page, err)
		}
		u, p := page[0].User, page[0].Profile
		if u.PasswordHash != "" || u.EmailConfirmedAt.IsZero() || p.FullName != "bAda/b" || p.BirthDate != "" || p.ImageURL != "" || p.Language != "de" {
			t.Errorf("%+v\n%+v", u, p)
		}
	})
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		newTrial(s, 10).must(t, users(2))
		dry := newTrial(s, 2)
		dry.DryRun, dry.Source = true, "third"
		same(t, "totals", moving.Totals{Read: 5, Moved: 3, Taken: 2}, dry.must(t, users(5)))
		same(t, "problems", []string{"1 email_taken", "2 email_taken"}, dry.problems)
		same(t, "accounts", 2, len(emails(t, s)))
	})
}

// failing is a store that dies: before or after the n-th batch is stored.
type failing struct {
	moving.Store

	left  int
	after bool
}

var errDied = errors.New("the process has died")

func (f *failing) MoveAccounts(ctx context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error) {
	f.left--
	if f.left < 0 && !f.after {
		return nil, errDied
	}
	out, err := f.Store.MoveAccounts(ctx, b)
	if f.left < 0 {
		return nil, errDied
	}
	return out, err
}

// C24: an import that is broken off at any step completes after a restart, with and without
// --resume; nobody is lost, nobody is there twice.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	const n, batch = 23, 5
	file := users(10) + "broken\n" + strings.TrimPrefix(users(n), users(10))
	onBoth(t, func(t *testing.T, s store.Store) {
		for step := range n/batch + 2 {
			for _, after := range []bool{false, true} {
				for _, resume := range []bool{false, true} {
					name := fmt.Sprint(step, after, resume)
					f := &failing{s, step, after}
					tr := newTrial(f, batch)
					tr.Name, tr.Source = name, name
					file := strings.ReplaceAll(file, "@example.org", "@"+strings.ReplaceAll(name, " ", "-")+".example.org")
					died := false
					for range 3 {
						_, err := tr.run(t.Context(), file)
						if err == nil {
							break
						}
						if died = true; !errors.Is(err, errDied) {
							t.Fatal(err)
						}
						f.left, tr.Resume = 1000, resume
					}
					if got, err := s.StartImport(t.Context(), auth.MoveProgress{Name: name, Source: name, Digest: "d", StartedAt: at(2026), UpdatedAt: at(2026)}, true); err != nil || got.Position != n+1 ||
						got.FinishedAt.IsZero() || resume && got.Moved != n {
						t.Errorf("%s: died %v, %+v, %v", name, died, got, err)
					}
				}
			}
		}
		all := emails(t, s)
		seen := map[string]bool{}
		for _, e := range all {
			if seen[e] {
				t.Errorf("%s is there twice", e)
			}
			seen[e] = true
		}
		same(t, "accounts", (n/batch+2)*4*n, len(all))
	})
}

// An app's trigger that raises on some: the others come in.
func TestTriggerThatRaises(t *testing.T) {
	t.Parallel()
	s, url := openPostgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `
CREATE FUNCTION public.no_sevens() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF NEW.email LIKE '%7@%' THEN RAISE EXCEPTION 'no sevens: %', NEW.email; END IF; RETURN NEW; END $$;
CREATE TRIGGER on_auth_user_created BEFORE INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.no_sevens()`); err != nil {
		t.Fatal(err)
	}
	tr := newTrial(s, 100)
	same(t, "totals", moving.Totals{Read: 30, Moved: 27, Refused: 3}, tr.must(t, users(30)))
	same(t, "problems", []string{"7 database_refused", "17 database_refused", "27 database_refused"}, tr.problems)
	got, err := s.StartImport(t.Context(), auth.MoveProgress{Name: "trial", Source: "elsewhere", Digest: "d", StartedAt: at(2026), UpdatedAt: at(2026)}, true)
	if err != nil || got.Moved != 27 || got.Refused != 3 || got.Position != 30 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Round trip: what is written can be read again, into either database, and is the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	from, to := openSQLite(t), openSQLite(t)
	other, _ := openPostgres(t)
	for _, s := range []store.Store{from, to, other} {
		if err := s.CreateTenant(t.Context(), auth.Tenant{
			ID: auth.ID{15: 1}, Slug: "north", Name: "North", Active: true, Settings: json.RawMessage(`{}`), CreatedAt: at(2020), UpdatedAt: at(2020),
		}, nil, auth.AuditEntry{ID: auth.ID{14: 1, 15: 1}, At: at(2020)}); err != nil {
			t.Fatal(err)
		}
	}
	const file = `{"id":"01020304-0506-4075-8000-000000000001","email":"ada@example.org","phone":"+491701234567","email_confirmed_at":"2021-02-03T04:05:06.123456Z","password_hash":"$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e","banned_until":"2030-02-03T04:05:06Z","created_at":"2020-02-03T04:05:06Z","updated_at":"2020-02-03T04:05:06Z","is_active":false,"app_metadata":{"roles":["physician"],"provider":"email","providers":["email"],"n":12345678901234567890},"user_metadata":{"é":"<&>\""},"identities":[{"provider":"email","provider_id":"01020304-0506-4075-8000-000000000001","identity_data":{"email":"ada@example.org"}},{"provider":"google","provider_id":"g"}],"profile":{"full_name":"Ada","birth_date":"1980-02-29","extensions":{"physician":{"a":1}},"last_auth_method":"google","last_auth_method_at":"2021-02-03T04:05:06Z"},"memberships":[{"tenant":"north","role":"physician","state":"invited","ends_at":"2031-02-03T04:05:06Z"}]}
{"id":"01020304-0506-4075-8000-000000000002","is_anonymous":true,"created_at":"2020-02-03T04:05:06Z","updated_at":"2020-02-03T04:05:06Z"}
{"id":"01020304-0506-4075-8000-000000000003","email":"sso@example.org","is_sso_user":true,"identities":[{"provider":"sso:1","provider_id":"s"}],"created_at":"2020-02-03T04:05:06Z","updated_at":"2020-02-03T04:05:06Z"}
`
	newTrial(from, 10).must(t, file)
	written := func(s store.Store, c moving.WriteConfig) string {
		t.Helper()
		var b bytes.Buffer
		if n, err := moving.Write(t.Context(), s, &b, c); err != nil || n != 3 {
			t.Fatal(n, err)
		}
		return b.String()
	}
	first := written(from, moving.WriteConfig{Hashes: true, Page: 1})
	for _, s := range []store.Store{to, other} {
		same(t, "totals", moving.Totals{Read: 3, Moved: 3}, newTrial(s, 10).must(t, first))
		if d := jsonLines(t, first, written(s, moving.WriteConfig{Hashes: true})); d != "" {
			t.Error(d)
		}
	}
	if text := written(from, moving.WriteConfig{}) + written(from, moving.WriteConfig{Form: moving.FormCSV}); strings.Contains(text, "$2b$") {
		t.Error("hashes without being asked")
	}

	// CSV keeps what it has columns for.
	third := openSQLite(t)
	if err := third.CreateTenant(t.Context(), auth.Tenant{ID: auth.ID{15: 1}, Slug: "north", Name: "N", Active: true, CreatedAt: at(2020), UpdatedAt: at(2020)}, nil,
		auth.AuditEntry{ID: auth.ID{15: 1}, At: at(2020)}); err != nil {
		t.Fatal(err)
	}
	tr := newTrial(third, 10)
	totals, err := moving.Import(t.Context(), tr.Config, func(auth.MoveProgress) (moving.Reader, error) {
		return moving.CSV(strings.NewReader(written(from, moving.WriteConfig{Form: moving.FormCSV, Hashes: true})))
	})
	if err != nil || totals.Moved != 2 || totals.Refused != 1 { // CSV does not say that somebody is anonymous
		t.Fatalf("%+v, %v", totals, err)
	}
	u, err := third.UserByEmail(t.Context(), "ada@example.org", "authenticated")
	if err != nil || u.PasswordHash != bcrypt || u.ID.String() != "01020304-0506-4075-8000-000000000001" || u.Phone != "491701234567" ||
		!strings.Contains(string(u.AppMetadata), `"roles":["physician"]`) {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := moving.Write(t.Context(), from, io.Discard, moving.WriteConfig{Form: "xml"}); err == nil {
		t.Error("an unknown form")
	}
}

// jsonLines compares two files of JSON lines by value.
func jsonLines(t *testing.T, a, b string) string {
	t.Helper()
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(x) != len(y) {
		return fmt.Sprintf("%d lines, %d", len(x), len(y))
	}
	for i := range x {
		if x[i] == y[i] {
			continue
		}
		var p, q map[string]any
		if json.Unmarshal([]byte(x[i]), &p) != nil || json.Unmarshal([]byte(y[i]), &q) != nil {
			return x[i] + "\n" + y[i]
		}
		if fmt.Sprint(p) != fmt.Sprint(q) {
			return fmt.Sprintf("line %d:\n%s\n%s", i+1, x[i], y[i])
		}
	}
	return ""
}
