package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer: a newer program has migrated the tables. This one must not touch them.
var ErrNewer = errors.New("usersync/sqlite: the tables are newer than this program")

// Migrate brings the tables up to date, in one transaction that has the lock of the file: of
// many processes one migrates and the others wait. Tables that are up to date cost one query.
func (s *Store) Migrate(ctx context.Context) error {
	wanted, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(wanted) == 0 {
		return fmt.Errorf("usersync/sqlite: no migrations: %w", errors.Join(err, fs.ErrNotExist))
	}
	slices.Sort(wanted)
	var version int
	const current = `SELECT coalesce(max(version), 0) FROM @migrations`
	if err := s.db.QueryRowContext(ctx, s.sql(current)).Scan(&version); err == nil && version == len(wanted) {
		return nil
	}
	return s.write(ctx, "migrate", func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, s.sql(`CREATE TABLE IF NOT EXISTS @migrations (version integer NOT NULL PRIMARY KEY)`)); err != nil {
			return err
		}
		if err := c.QueryRowContext(ctx, s.sql(current)).Scan(&version); err != nil {
			return err
		}
		return s.migrate(ctx, c, wanted, version)
	})
}

// migrate runs what is missing.
func (s *Store) migrate(ctx context.Context, c *sql.Conn, wanted []string, version int) error {
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
		if _, err := c.ExecContext(ctx, s.sql(string(text))); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := c.ExecContext(ctx, s.sql(`INSERT INTO @migrations (version) VALUES (?)`), next); err != nil {
			return err
		}
	}
	return nil
}
