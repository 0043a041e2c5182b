package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	versionTable = "auth.cardea_migrations"

	// migrationLock is the key of the advisory lock; any number, but ours, so that an
	// application which migrates its own tables with goose does not wait for us.
	migrationLock int64 = 0x63617264656131

	// The version is that of the newest migration that is applied.
	selectVersion = `SELECT coalesce(max(version_id), 0) FROM ` + versionTable + ` WHERE is_applied`
)

// Errors of [Store.CheckSchema] and [Migrate].
var (
	// ErrSchemaOlder: migrations are missing. Run Migrate.
	ErrSchemaOlder = errors.New("postgres: the database schema is older than this program")
	// ErrSchemaNewer: a newer program has migrated the database. This one must not touch it.
	ErrSchemaNewer = errors.New("postgres: the database schema is newer than this program")
)

// Migrate brings the schema up to date. Of many callers at once, one migrates and the
// others wait, up to five minutes. It needs a direct connection: the lock belongs to a
// connection, which a pooler in transaction mode would not keep. ErrSchemaNewer, with
// nothing changed, when the database is ahead; ErrForeignSchema when it is a GoTrue's.
//
// The account must own the database or schema auth. One that may not create roles gets
// them described as notices: see [MigrateNotify].
func Migrate(ctx context.Context, url string) error { return MigrateNotify(ctx, url, nil) }

// MigrateNotify is [Migrate], and gives notice each message that an operator should read,
// such as the role that the account was not allowed to create.
func MigrateNotify(ctx context.Context, url string, notice func(message string)) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("postgres: database URL: %w", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if notice != nil && strings.HasPrefix(n.Message, "cardea: ") {
			notice(strings.TrimPrefix(n.Message, "cardea: "))
		}
	}
	done, err := prepareSchema(ctx, cfg)
	if done || err != nil {
		return err
	}
	if err := runMigrations(ctx, cfg); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

// prepareSchema makes the schema that the version table lives in, and reports whether
// there is nothing to do.
func prepareSchema(ctx context.Context, cfg *pgx.ConnConfig) (done bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("postgres: migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // read, or committed by itself
	current, err := readVersion(ctx, conn)
	if err != nil {
		return false, err
	}
	switch err := compareVersion(current); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrSchemaNewer):
		return false, err
	case current == 0:
		if err := refuseForeign(ctx, conn); err != nil {
			return false, err
		}
	}
	// CREATE SCHEMA IF NOT EXISTS asks for the right to create even when it exists, and two
	// at once make one fail.
	_, err = conn.Exec(ctx, `DO $$ BEGIN
		IF to_regnamespace('auth') IS NULL THEN CREATE SCHEMA auth; END IF;
	EXCEPTION WHEN duplicate_schema OR unique_violation THEN NULL;
	END $$`)
	if err != nil {
		return false, fmt.Errorf("postgres: schema auth: %w", err)
	}
	return false, nil
}

func runMigrations(ctx context.Context, cfg *pgx.ConnConfig) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close() //nolint:errcheck // every migration has been committed
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(versionTable),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// SchemaVersion gives the version of the database, 0 when it was never migrated, and the
// one that this program was built for.
func (s *Store) SchemaVersion(ctx context.Context) (current, wanted int64, err error) {
	if wanted, err = wantedVersion(); err != nil {
		return 0, 0, err
	}
	current, err = readVersion(ctx, s.pool)
	return current, wanted, err
}

// CheckSchema is for the start of a server: one query, and ErrSchemaOlder or
// ErrSchemaNewer when program and database do not belong together.
func (s *Store) CheckSchema(ctx context.Context) error {
	current, err := readVersion(ctx, s.pool)
	if err != nil {
		return err
	}
	return compareVersion(current)
}

func compareVersion(current int64) error {
	wanted, err := wantedVersion()
	switch {
	case err != nil:
		return err
	case current < wanted:
		return fmt.Errorf("%w: version %d, wanted %d", ErrSchemaOlder, current, wanted)
	case current > wanted:
		return fmt.Errorf("%w: version %d, known up to %d", ErrSchemaNewer, current, wanted)
	}
	return nil
}

func readVersion(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (int64, error) {
	var v int64
	// By the simple protocol, as this statement runs once per connection at most.
	err := db.QueryRow(ctx, selectVersion, pgx.QueryExecModeSimpleProtocol).Scan(&v)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == undefinedTable || pg.Code == undefinedSchema) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("postgres: schema version: %w", err)
	}
	return v, nil
}

// wantedVersion is the number of the newest embedded migration.
func wantedVersion() (int64, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return 0, fmt.Errorf("postgres: migrations: %w", err)
	}
	var newest int64
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("postgres: migration %s: %w", e.Name(), err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

// Columns gives the columns of every table in schema auth but the one of versions, for
// the test that holds both databases to one schema, and for diagnosis.
func (s *Store) Columns(ctx context.Context) (map[string][]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'auth'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
			AND c.oid <> to_regclass('`+versionTable+`')
		GROUP BY c.relname`)
	if err != nil {
		return nil, fmt.Errorf("postgres: columns: %w", err)
	}
	tables := make(map[string][]string)
	var table string
	var columns []string
	_, err = pgx.ForEachRow(rows, []any{&table, &columns}, func() error {
		tables[table] = columns
		columns = nil // the next row gets a slice of its own
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: columns: %w", err)
	}
	return tables, nil
}
