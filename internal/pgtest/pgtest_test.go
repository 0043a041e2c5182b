package pgtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// migrateProbe stands for a migration.
func migrateProbe(url string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE probe (n int)"); err != nil {
		return err
	}
	return conn.Close(ctx)
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	a, b := connect(t, pgtest.New(t)), connect(t, pgtest.New(t))
	exec(t, a, "CREATE TABLE mine (n int)")
	exec(t, b, "CREATE TABLE mine (n int)")
}

func TestMigratedCopiesAreApart(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, pgtest.NewMigrated(t, migrateProbe))
			exec(t, conn, "INSERT INTO probe VALUES (1)")
			var n int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM probe").Scan(&n); err != nil || n != 1 {
				t.Fatalf("rows %d, error %v", n, err)
			}
		})
	}
}

func TestDroppedWhenTheTestEnds(t *testing.T) { //nolint:tparallel // the subtest has to end first
	t.Parallel()
	var name string
	t.Run("user", func(t *testing.T) {
		conn := connect(t, pgtest.New(t))
		if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var found bool
	admin := connect(t, pgtest.Superuser(t))
	err := admin.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found)
	if err != nil || found || name == "" {
		t.Fatalf("database %q still there: %v, error %v", name, found, err)
	}
}

func BenchmarkNewMigrated(b *testing.B) {
	for b.Loop() {
		pgtest.NewMigrated(b, migrateProbe)
	}
}
