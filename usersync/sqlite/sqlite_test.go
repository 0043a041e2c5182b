package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/sqlite"
	"github.com/cardea-auth/cardea/usersync/synctest"
)

func file(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func store(tb testing.TB, db *sql.DB, c sqlite.Config) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.New(db, c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func open(tb testing.TB) synctest.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "users.db")
	a, b := file(tb, path), file(tb, path)
	first := store(tb, a, sqlite.Config{})
	if err := first.Migrate(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return synctest.Database{
		A: first, B: store(tb, b, sqlite.Config{}),
		Count: func(tb testing.TB, table string) (n int) {
			tb.Helper()
			if err := a.QueryRowContext(context.Background(), "SELECT count(*) FROM usersync_"+table).Scan(&n); err != nil {
				tb.Fatal(err)
			}
			return n
		},
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	synctest.Run(t, open)
}

func TestRace(t *testing.T) {
	t.Parallel()
	synctest.Race(t, open)
}

// Many processes start at once; another prefix is another world; newer tables are left
// alone.
func TestMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.db")
	failures := make(chan error, 4)
	for range cap(failures) {
		db := file(t, path)
		go func() { failures <- store(t, db, sqlite.Config{Prefix: "mirror_"}).Migrate(context.Background()) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	db := file(t, path)
	other := store(t, db, sqlite.Config{})
	if _, err := other.Find(t.Context(), "i", "s"); err == nil || errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("without tables: %v", err)
	}
	if err := other.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.Find(t.Context(), "i", "s"); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("with tables: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO usersync_migrations (version) VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	if err := other.Migrate(t.Context()); !errors.Is(err, sqlite.ErrNewer) {
		t.Errorf("newer tables: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := sqlite.New(nil, sqlite.Config{}); err == nil {
		t.Error("no database, and no error")
	}
	mode := filepath.Join(t.TempDir(), "users.db")
	db := file(t, mode)
	for _, name := range []string{"a;b", "A", `a"b`, "1a", "a.b"} {
		if _, err := sqlite.New(db, sqlite.Config{Prefix: name}); err == nil {
			t.Errorf("prefix %q was taken", name)
		}
	}
	info, err := os.Stat(mode)
	if err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("mode of a new file: %v, %v", info, err)
	}
	for _, path := range []string{"", ":memory:", filepath.Join(t.TempDir(), "no", "folder.db")} {
		if _, err := sqlite.Open(t.Context(), path); err == nil {
			t.Errorf("%q was opened", path)
		}
	}
}

// B2.12: the columns that rows are linked by refuse an address without a proof, whoever
// writes it. S3.8: an application adds columns of its own to the profile.
func TestTables(t *testing.T) {
	t.Parallel()
	db := file(t, filepath.Join(t.TempDir(), "users.db"))
	s := store(t, db, sqlite.Config{})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	request := usersync.Request{Identity: usersync.Identity{Issuer: "https://issuer.test", Subject: "1"}, NewID: "1"}
	if _, err := s.Sync(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE usersync_users SET email = 'victim@example.org'"); err == nil {
		t.Error("an address was written down without a proof")
	}
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE usersync_profiles ADD COLUMN specialty text NOT NULL DEFAULT 'none'"); err != nil {
		t.Fatal(err)
	}
	request.Identity.Subject, request.NewID = "2", "2"
	if _, err := s.Sync(t.Context(), request); err != nil {
		t.Error(err)
	}
}
