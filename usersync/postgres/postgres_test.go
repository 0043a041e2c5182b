package postgres_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/postgres"
	"github.com/cardea-auth/cardea/usersync/synctest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func pool(tb testing.TB, url string) *pgxpool.Pool {
	tb.Helper()
	p, err := pgxpool.New(context.Background(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func store(tb testing.TB, p *pgxpool.Pool, c postgres.Config) *postgres.Store {
	tb.Helper()
	s, err := postgres.New(p, c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// migrate is for pgtest.NewMigrated.
func migrate(url string) error {
	ctx := context.Background()
	p, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer p.Close()
	s, err := postgres.New(p, postgres.Config{})
	if err != nil {
		return err
	}
	return s.Migrate(ctx)
}

func open(tb testing.TB) synctest.Database {
	tb.Helper()
	return opened(tb, "")
}

// opened gives a migrated database, with further settings of the pool.
func opened(tb testing.TB, settings string) synctest.Database {
	tb.Helper()
	url := pgtest.NewMigrated(tb, migrate) + settings
	a, b := pool(tb, url), pool(tb, url)
	return synctest.Database{
		A: store(tb, a, postgres.Config{}), B: store(tb, b, postgres.Config{}),
		Count: func(tb testing.TB, table string) (n int) {
			tb.Helper()
			if err := a.QueryRow(context.Background(), "SELECT count(*) FROM usersync."+table).Scan(&n); err != nil {
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

// S2.31: behind a pooler in transaction mode there are no prepared statements.
func TestWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	synctest.Run(t, func(tb testing.TB) synctest.Database { return opened(tb, "&default_query_exec_mode=exec") })
}

func TestRace(t *testing.T) {
	t.Parallel()
	synctest.Race(t, open)
}

// Many processes start at once; a schema of another name is another world; newer tables
// are left alone.
func TestMigrate(t *testing.T) {
	t.Parallel()
	p := pool(t, pgtest.New(t))
	failures := make(chan error, 8)
	for range cap(failures) {
		go func() { failures <- store(t, p, postgres.Config{Schema: "mirror_2"}).Migrate(context.Background()) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	other := store(t, p, postgres.Config{})
	if _, err := other.Find(t.Context(), "i", "s"); err == nil || errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("without tables: %v", err)
	}
	if err := other.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.Find(t.Context(), "i", "s"); !errors.Is(err, usersync.ErrNoUser) {
		t.Errorf("with tables: %v", err)
	}
	if _, err := p.Exec(t.Context(), "INSERT INTO usersync.migrations (version) VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	if err := other.Migrate(t.Context()); !errors.Is(err, postgres.ErrNewer) {
		t.Errorf("newer tables: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := postgres.New(nil, postgres.Config{}); err == nil {
		t.Error("no pool, and no error")
	}
	p := pool(t, "postgres://nobody@localhost/none")
	for _, name := range []string{"a;b", "A", `a"b`, "1a", "a.b", "a b"} {
		if _, err := postgres.New(p, postgres.Config{Schema: name}); err == nil {
			t.Errorf("schema %q was taken", name)
		}
	}
}

// B2.12: the columns that rows are linked by refuse an address without a proof, whoever
// writes it. S3.8: an application adds columns of its own to the profile.
func TestTables(t *testing.T) {
	t.Parallel()
	p := pool(t, pgtest.NewMigrated(t, migrate))
	s := store(t, p, postgres.Config{})
	request := usersync.Request{
		Identity: usersync.Identity{Issuer: "https://issuer.test", Subject: "1"}, NewID: "01990000-0000-7000-8000-000000000001",
	}
	if _, err := s.Sync(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exec(t.Context(), "UPDATE usersync.users SET email = 'victim@example.org'"); err == nil {
		t.Error("an address was written down without a proof")
	}
	if _, err := p.Exec(t.Context(), "ALTER TABLE usersync.profiles ADD COLUMN specialty text NOT NULL DEFAULT 'none'"); err != nil {
		t.Fatal(err)
	}
	request.Identity.Subject, request.NewID = "2", "01990000-0000-7000-8000-000000000002"
	if _, err := s.Sync(t.Context(), request); err != nil {
		t.Error(err)
	}
}
