// Package sqlite keeps mirrored users in a service's own SQLite file, in tables with a prefix
// of their own beside the service's tables.
//
// Times are integers, microseconds since 1970. A write takes the lock of the file from its
// start, so what it reads can't change meanwhile, by another process either.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/cardea-auth/cardea/usersync"
)

// Config says what the tables are called.
type Config struct {
	// Prefix begins the names of all tables; "" means usersync_. Lower-case letters, digits
	// and underscores.
	Prefix string
}

// Store keeps users. It is safe for concurrent use.
type Store struct {
	db     *sql.DB
	prefix string
	turn   chan struct{} // held by the write that is under way in this process
}

var _ usersync.Store = (*Store)(nil)

var prefixName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// The waits for another process's write: SQLite is deaf to the context while it waits, so
// each wait is short.
const (
	busyStep  = 100 * time.Millisecond
	busyTries = 50
)

// Open opens a file, or makes one that only its owner can read, with the settings that this package wants: a write-ahead log, foreign
// keys, a short wait for locks. The service may use the pool too, and has to close it.
func Open(ctx context.Context, path string) (*sql.DB, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("usersync/sqlite: a file is needed; an in-memory database can't be shared by connections")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("usersync/sqlite: %w", err)
	}
	// The file holds addresses: nobody but its owner reads it. SQLite gives the files beside
	// it the same mode.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the operator's own path
	if err != nil {
		return nil, fmt.Errorf("usersync/sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("usersync/sqlite: %w", err)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs)}
	settings := fmt.Sprintf("?_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)", busyStep.Milliseconds())
	c, err := sqlite.NewConnector(u.String() + settings)
	if err != nil {
		return nil, fmt.Errorf("usersync/sqlite: %w", err)
	}
	db := sql.OpenDB(c)
	if err := patiently(ctx, func() error {
		var mode string
		return db.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode)
	}); err != nil {
		return nil, fmt.Errorf("usersync/sqlite: open: %w", errors.Join(err, db.Close()))
	}
	return db, nil
}

// New makes a Store of the service's pool, which it does not close; its driver must be
// modernc.org/sqlite. Call [Store.Migrate] before the first use.
func New(db *sql.DB, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = "usersync_"
	}
	switch {
	case db == nil:
		return nil, errors.New("usersync/sqlite: no database")
	case !prefixName.MatchString(c.Prefix):
		return nil, fmt.Errorf("usersync/sqlite: Prefix: %q is not a plain lower-case name", c.Prefix)
	}
	return &Store{db: db, prefix: c.Prefix, turn: make(chan struct{}, 1)}, nil
}

// sql puts the prefix into a statement. The statements are constants of this package, and
// the prefix is plain.
func (s *Store) sql(statement string) string { return strings.ReplaceAll(statement, "@", s.prefix) }

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// patiently tries f again while another process has the lock, for some seconds.
func patiently(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !isBusy(err) || try == busyTries {
			return err
		}
		wait := time.NewTimer(time.Duration(min(try, 20)) * 5 * time.Millisecond)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// write runs f in a transaction that has the lock of the file from its start.
func (s *Store) write(ctx context.Context, what string, f func(*sql.Conn) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("usersync/sqlite: %s: %w", what, err)
		}
	}()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back into the pool; the transaction has ended
	if err := patiently(ctx, func() error { _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); return err }); err != nil {
		return err
	}
	// The end of the transaction must not be stopped by the caller's going away.
	always := context.WithoutCancel(ctx)
	committed := false
	defer func() {
		if committed {
			return
		}
		if _, err := conn.ExecContext(always, "ROLLBACK"); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool drops it
		}
	}()
	if err := f(conn); err != nil {
		return err
	}
	if err := patiently(ctx, func() error { _, err := conn.ExecContext(always, "COMMIT"); return err }); err != nil {
		return err
	}
	committed = true
	return nil
}

func micro(t time.Time) int64 { return t.UnixMicro() }

func nullMicro(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func fromMicro(n int64) time.Time { return time.UnixMicro(n).UTC() }

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
