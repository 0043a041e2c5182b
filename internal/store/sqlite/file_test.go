package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/storetest"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

func newAccount(n byte) auth.NewAccount {
	return auth.NewAccount{User: auth.User{
		ID: auth.ID{15: n}, Aud: "authenticated", Role: auth.RoleAuthenticated,
		Email: fmt.Sprintf("user%d@example.com", n), CreatedAt: now, UpdatedAt: now,
	}}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder?with#odd%20signs", "cardea.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	empty, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(empty.Close)
	if err := empty.CheckSchema(t.Context()); !errors.Is(err, ErrSchemaOlder) {
		t.Errorf("CheckSchema of an empty file: %v, want %v", err, ErrSchemaOlder)
	}
	// A write of a store that is open already must not be in the way, nor fail afterwards.
	if err := empty.write(t.Context(), "test", func(runner) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := empty.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := empty.CreateAccount(t.Context(), newAccount(1)); err != nil {
		t.Error(err)
	}
	for range 2 { // there is nothing left to do
		if err := Migrate(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	current, wanted, err := empty.SchemaVersion(t.Context())
	if err != nil || current != wanted || current == 0 {
		t.Errorf("SchemaVersion = %d, %d, %v; want the same, above 0", current, wanted, err)
	}
	if err := empty.CheckSchema(t.Context()); err != nil {
		t.Errorf("CheckSchema: %v", err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains([]string{"cardea.db", "cardea.db-wal", "cardea.db-shm", "cardea.db-migrate"}, f.Name()) {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := Migrate(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := openAt(t, path)
	var applied int
	if err := s.read("test", func(r runner) error {
		return one(t.Context(), r, `SELECT count(*) FROM cardea_migrations WHERE version_id = 1`, nil, &applied)
	}); err != nil || applied != 1 {
		t.Errorf("migration 1 was applied %d times, %v", applied, err)
	}
}

// An existing database, of the first release, gets what is new and keeps what it has.
func TestMigrateFromEarlier(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "cardea.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.writer.alone(t.Context(), func(db *sql.DB) error {
		p, err := goose.NewProvider(database.DialectSQLite3, db, os.DirFS("migrations"), goose.WithTableName(versionTable),
			goose.WithDisableGlobalRegistry(true))
		if err != nil {
			return err
		}
		_, err = p.UpTo(t.Context(), 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := newAccount(1).User
	if err := s.CreateAccount(t.Context(), newAccount(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckSchema(t.Context()); !errors.Is(err, ErrSchemaOlder) {
		t.Errorf("CheckSchema: %v, want ErrSchemaOlder", err)
	}
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.UserByID(t.Context(), want.ID); err != nil || got.Email != want.Email {
		t.Errorf("account: %+v, %v", got, err)
	}
	if err := s.Enqueue(t.Context(), []auth.Message{{ID: want.ID, CreatedAt: now}}); err != nil {
		t.Error(err)
	}
}

// A migration that waits for another one ends with its context.
func TestMigrateCancelled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	unlock, err := lockMigration(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Migrate(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	s := openAt(t, path)
	if err := s.write(t.Context(), "test", func(r runner) error {
		_, err := exec(t.Context(), r, `INSERT INTO cardea_migrations (version_id, is_applied) VALUES (9999, 1)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckSchema(t.Context()); !errors.Is(err, ErrSchemaNewer) {
		t.Errorf("CheckSchema: %v, want %v", err, ErrSchemaNewer)
	}
	if err := Migrate(t.Context(), path); !errors.Is(err, ErrSchemaNewer) {
		t.Errorf("Migrate: %v, want %v", err, ErrSchemaNewer)
	}
}

// The file holds password hashes and sealed keys: nobody else on the machine reads it,
// nor the files that SQLite puts beside it.
func TestFileModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing there")
	}
	path := filepath.Join(t.TempDir(), "cardea.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // made by somebody careless
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path)
	if err := s.CreateAccount(t.Context(), newAccount(1)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte("this is no database, but it is long enough to look like one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"no path", Config{}},
		{"in memory", Config{Path: ":memory:"}},
		{"a folder", Config{Path: dir}},
		{"in a folder that does not exist", Config{Path: filepath.Join(dir, "none", "cardea.db")}},
		{"synchronous off", Config{Path: filepath.Join(dir, "a.db"), Synchronous: "OFF"}},
		{"a pragma in synchronous", Config{Path: filepath.Join(dir, "a.db"), Synchronous: "FULL);DROP TABLE users"}},
		{"not a database", Config{Path: garbage}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), c.cfg)
			if err == nil {
				s.Close()
				t.Error("no error")
			}
		})
	}
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	openAt(t, path)
	s, err := Open(t.Context(), Config{Path: path, Synchronous: "full", Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	pragmas := func(r runner) error {
		for name, want := range map[string]string{
			"journal_mode": "wal", "foreign_keys": "1", "synchronous": "2", "temp_store": "2",
			"trusted_schema": "0",
		} {
			var got string
			if err := one(t.Context(), r, "PRAGMA "+name, nil, &got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		return nil
	}
	if err := s.read("test", pragmas); err != nil {
		t.Error(err)
	}
	if err := s.write(t.Context(), "test", pragmas); err != nil {
		t.Error(err)
	}
	if err := s.read("test", func(r runner) error {
		_, err := exec(t.Context(), r, "DELETE FROM users")
		return err
	}); err == nil {
		t.Error("a reader could write")
	}
}

// A second store on the file is what the command line beside the server is: each sees
// what the other wrote, and both can write at once.
func TestTwoStores(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	server, cli := openAt(t, path), openAt(t, path)
	var wg sync.WaitGroup
	const each = 25
	for i, s := range []*Store{server, cli} {
		for k := range each {
			wg.Go(func() {
				if err := s.CreateAccount(t.Context(), newAccount(byte(1+i*each+k))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, s := range []*Store{server, cli} {
		page, err := s.ListUsers(t.Context(), auth.UserQuery{Aud: "authenticated", SortBy: "created_at", Page: 1, PerPage: 1})
		if err != nil || page.Total != 2*each {
			t.Errorf("total %d, %v; want %d", page.Total, err, 2*each)
		}
	}

	// One sign-up of one address wins, across processes too (C2).
	results := make([]error, 16)
	for i := range results {
		s := []*Store{server, cli}[i%2]
		wg.Go(func() {
			a := newAccount(byte(100 + i))
			a.User.Email = "wanted@example.com"
			results[i] = s.CreateAccount(t.Context(), a)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, auth.ErrEmailTaken) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d sign-ups of one address won", won)
	}
	server.Close() // the other one goes on
	if err := cli.CreateAccount(t.Context(), newAccount(200)); err != nil {
		t.Error(err)
	}
}

// One code and one message, two processes: each is had once.
func TestTwoStoresOneToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	stores := []*Store{openAt(t, path), openAt(t, path)}
	a := newAccount(1)
	now := a.User.CreatedAt
	a.Tokens = []auth.OneTime{{
		ID: a.User.ID, Purpose: auth.PurposeMagicLink, Address: a.User.Email, TokenHash: "link", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}}
	a.Messages = []auth.Message{{ID: a.User.ID, CreatedAt: now}}
	if err := stores[0].CreateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	var (
		wg                sync.WaitGroup
		redeemed, claimed [16]bool
	)
	for i := range redeemed {
		wg.Go(func() {
			res, err := stores[i%2].RedeemOneTime(t.Context(), auth.Redeem{
				At: now, Purposes: []auth.Purpose{auth.PurposeMagicLink}, TokenHash: "link", Audit: auth.AuditEntry{ID: auth.ID{15: byte(i + 1)}},
			})
			messages, claimErr := stores[i%2].ClaimMessages(t.Context(), now, time.Minute, 10)
			redeemed[i], claimed[i] = res.Outcome == auth.RedeemDone, len(messages) == 1
			if err := errors.Join(err, claimErr); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := func(won [16]bool) (n int) {
		for _, w := range won {
			if w {
				n++
			}
		}
		return n
	}
	if count(redeemed) != 1 || count(claimed) != 1 {
		t.Errorf("%d redemptions, %d claims; want one of each", count(redeemed), count(claimed))
	}
}

// What was committed is there after the file has been closed and opened again.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardea.db")
	s := openAt(t, path)
	if err := s.CreateAccount(t.Context(), newAccount(1)); err != nil {
		t.Fatal(err)
	}
	want, err := s.UserByID(t.Context(), auth.ID{15: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, name := range []string{path + "-wal", path + "-shm"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left after Close: %v", name, err)
		}
	}
	got, err := openAt(t, path).UserByID(t.Context(), auth.ID{15: 1})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	columns, err := openAt(t, filepath.Join(t.TempDir(), "cardea.db")).Columns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Schema(t, columns, columns)
	for table, column := range map[string]string{
		"users": "confirmed_at", "identities": "email", "sessions": "refresh_token_parent", "mfa_factors": "web_authn_aaguid",
		"mfa_amr_claims": "id", "audit_log_entries": "payload", "signing_keys": "sealed", "api_keys": "hash",
		"one_time_tokens": "paired", "flow_state": "auth_code", "outbox": "not_before", "known_devices": "device",
		"user_roles": "role", "profiles": "extensions", "tenants": "slug", "memberships": "ends_at", "relations": "kind",
		"user_identifiers": "verified_at", "external_subjects": "evidence_at",
		"webhook_receipts": "digest", "consents": "purpose", "consent_events": "action",
		"erasures": "steps", "tombstones": "subject", "legal_holds": "reason",
		"moved": "local_id", "imports": "position",
	} {
		if !slices.Contains(columns[table], column) {
			t.Errorf("table %s has columns %v, not %s", table, columns[table], column)
		}
		delete(columns, table)
	}
	if len(columns) != 0 {
		t.Errorf("more tables: %v", columns)
	}
}
