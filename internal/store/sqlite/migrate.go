package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

const versionTable = "cardea_migrations"

const sqlVersion = `SELECT coalesce(max(version_id), 0) FROM ` + versionTable + ` WHERE is_applied = 1`

var (
	// ErrSchemaNewer: a newer Cardea has migrated the database. This one must not touch it.
	ErrSchemaNewer = errors.New("sqlite: the database was migrated by a newer version of Cardea")
	// ErrSchemaOlder: the database has to be migrated first.
	ErrSchemaOlder = errors.New("sqlite: the database has to be migrated")
)

// Migrate opens the file at path, does what [Store.Migrate] does, and closes it.
func Migrate(ctx context.Context, path string) error {
	s, err := Open(ctx, Config{Path: path, Synchronous: "FULL"})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Migrate(ctx)
}

// Migrate brings the database to the schema of this version. Several processes may call
// it at once: one migrates, the others wait for it. A database that is current already
// costs one query. ErrSchemaNewer when it is ahead. Writes of this Store wait meanwhile.
func (s *Store) Migrate(ctx context.Context) (err error) {
	if err := s.CheckSchema(ctx); !errors.Is(err, ErrSchemaOlder) {
		return err
	}
	unlock, err := lockMigration(ctx, s.path)
	if err != nil {
		return fmt.Errorf("sqlite: migration lock: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// Somebody else may have done it while we waited.
	if err := s.CheckSchema(ctx); !errors.Is(err, ErrSchemaOlder) {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.writer.alone(ctx, func(db *sql.DB) error { return migrateUp(ctx, db) })
}

func migrateUp(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	p, err := goose.NewProvider(database.DialectSQLite3, db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("sqlite: migrate: %w", err)
	}
	return nil
}

// lockMigration waits until no other process migrates the file. The lock is SQLite's own
// exclusive lock on an empty file beside it, since that works on every system and ends
// with the process that holds it. A lock inside the database would be in the way of the
// migration itself. The empty file stays: removing it while others wait for it would
// give them a lock on nothing.
func lockMigration(ctx context.Context, path string) (unlock func() error, err error) {
	name, err := secureFile(path + "-migrate")
	if err != nil {
		return nil, err
	}
	db, err := openPool(dsn(name, "NORMAL", shortWait()), 1)
	if err != nil {
		return nil, err
	}
	for {
		_, err = db.ExecContext(ctx, "BEGIN EXCLUSIVE")
		if err == nil {
			return db.Close, nil // which ends the transaction
		}
		if !isBusy(err) || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err(), db.Close())
		}
	}
}

// SchemaVersion gives the version of the database, 0 when it is empty, and the one that
// this binary wants. It costs one query.
func (s *Store) SchemaVersion(ctx context.Context) (current, wanted int64, err error) {
	if wanted, err = wantedVersion(); err != nil {
		return 0, 0, err
	}
	err = s.read("schema version", func(r runner) error { return one(ctx, r, sqlVersion, nil, &current) })
	if err != nil && strings.Contains(err.Error(), "no such table: "+versionTable) {
		return 0, wanted, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return current, wanted, nil
}

// CheckSchema answers ErrSchemaOlder or ErrSchemaNewer unless the database has the
// schema that this binary wants.
func (s *Store) CheckSchema(ctx context.Context) error {
	current, wanted, err := s.SchemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case current < wanted:
		return fmt.Errorf("%w: it has version %d, wanted is %d", ErrSchemaOlder, current, wanted)
	case current > wanted:
		return fmt.Errorf("%w: it has version %d, known is %d", ErrSchemaNewer, current, wanted)
	}
	return nil
}

// wantedVersion is the number of the last migration.
func wantedVersion() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("sqlite: no migrations: %w", errors.Join(err, fs.ErrNotExist))
	}
	number, _, _ := strings.Cut(path.Base(names[len(names)-1]), "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("sqlite: migrations: %w", err)
	}
	return version, nil
}

// Columns gives the columns of every table but that of the migrations, generated ones
// included. It is for tests that compare the databases.
func (s *Store) Columns(ctx context.Context) (map[string][]string, error) {
	const query = `SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name <> '` + versionTable + `'
		ORDER BY t.name, c.cid`
	columns := make(map[string][]string)
	err := s.read("columns", func(r runner) error {
		return each(ctx, r, query, nil, func(scan func(...any) error) error {
			var table, column string
			if err := scan(&table, &column); err != nil {
				return err
			}
			columns[table] = append(columns[table], column)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return columns, nil
}
