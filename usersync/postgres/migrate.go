package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer: a newer program has migrated the tables. This one must not touch them.
var ErrNewer = errors.New("usersync/postgres: the tables are newer than this program")

// Migrate makes the schema and brings its tables up to date, in one transaction under an
// advisory lock: of many processes one migrates and the others wait. Tables that are up to
// date cost one query.
func (s *Store) Migrate(ctx context.Context) error {
	wanted, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(wanted) == 0 {
		return fmt.Errorf("usersync/postgres: no migrations: %w", errors.Join(err, fs.ErrNotExist))
	}
	slices.Sort(wanted)
	if version, err := s.version(ctx); err == nil && version == len(wanted) {
		return nil
	}
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('usersync migrate ' || $1, 0))`, s.schema); err != nil {
			return err
		}
		setUp := `DO $$ BEGIN
			IF to_regnamespace('` + s.schema + `') IS NULL THEN CREATE SCHEMA ` + s.schema + `; END IF; END $$;
			CREATE TABLE IF NOT EXISTS ` + s.schema + `.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`
		if _, err := tx.Exec(ctx, setUp, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		var version int
		if err := tx.QueryRow(ctx, s.sql(`SELECT coalesce(max(version), 0) FROM @migrations`)).Scan(&version); err != nil {
			return err
		}
		return s.migrate(ctx, tx, wanted, version)
	})
	if err != nil && !errors.Is(err, ErrNewer) {
		return fmt.Errorf("usersync/postgres: migrate: %w", err)
	}
	return err
}

func (s *Store) version(ctx context.Context) (version int, err error) {
	err = s.pool.QueryRow(ctx, s.sql(`SELECT coalesce(max(version), 0) FROM @migrations`)).Scan(&version)
	return version, err
}

// migrate runs what is missing.
func (s *Store) migrate(ctx context.Context, tx pgx.Tx, wanted []string, version int) error {
	if version > len(wanted) {
		return fmt.Errorf("%w: version %d, known is %d", ErrNewer, version, len(wanted))
	}
	for _, name := range wanted[version:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		number, _, _ := strings.Cut(path.Base(name), "_")
		next, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql(string(text)), pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := tx.Exec(ctx, s.sql(`INSERT INTO @migrations (version) VALUES ($1)`), next); err != nil {
			return err
		}
	}
	return nil
}
