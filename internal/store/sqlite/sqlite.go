// Package sqlite keeps everything in one SQLite file, for the development server and for
// deployments on one machine. Its contract is store.Store; internal/store/storetest
// proves it.
//
// SQLite has one writer at a time. So there are two pools: one connection that writes,
// and a few that read, which in WAL mode never wait for the writer. A write begins with
// BEGIN IMMEDIATE, that is, with the lock of the whole file: what it reads before it
// writes can't change meanwhile, also not by another process (the command line beside
// the server), and a deadlock between two readers who want to write can't happen.
//
// What is not guaranteed: with Synchronous "NORMAL" a loss of power can lose the last
// commits (never damage the file); "FULL" keeps each.
//
// Upper and lower case in searches is folded by Unicode, see [Store.ListUsers]; the
// generated e-mail column of identities is folded for ASCII only.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/cardea-auth/cardea/internal/store"
)

// Config says where the database is and how it is used.
type Config struct {
	// Path is the file. It is created, readable by its owner only, when it does not exist.
	// ":memory:" is refused: each connection would have a database of its own.
	Path string
	// Synchronous is "NORMAL" (the default) or "FULL", see the package comment.
	Synchronous string
	// Readers is the number of connections that read; they are opened when needed and
	// closed when idle. 0 means one per processor, 2 to 4.
	Readers int
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	path    string
	writer  *writer
	readers readPool

	closing sync.RWMutex // held for reading by every call, so that Close can wait for them
	closed  bool
}

var _ store.Store = (*Store)(nil)

var (
	errClosed   = errors.New("sqlite: store is closed")
	errNoPath   = errors.New("sqlite: a file is needed; an in-memory database can't be shared by connections")
	errTooOpen  = errors.New("sqlite: others may read the file, and its mode can't be changed")
	errSyncMode = errors.New("sqlite: Synchronous must be NORMAL or FULL")
)

// Budgets of one connection. Memory is what limits them: an idle server has to stay
// under 40 MB, and reading through mmap would count each touched page once more for
// every connection.
const (
	busyTimeout     = 5 * time.Second // waiting for another process's write
	busyStep        = 100 * time.Millisecond
	cacheKiB        = 8 << 10
	walLimitBytes   = 16 << 20 // the log file shrinks to this after a checkpoint
	readerIdleAfter = 5 * time.Minute
)

// Open opens the database, and creates the file if there is none. It does not migrate:
// see [Store.Migrate] and [Store.CheckSchema]. One connection is made at once, so that a file
// that can't be used is told here; the others are made when they are needed.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	path, err := secureFile(cfg.Path)
	if err != nil {
		return nil, err
	}
	synchronous := "NORMAL"
	switch strings.ToUpper(cfg.Synchronous) {
	case "", "NORMAL":
	case "FULL":
		synchronous = "FULL"
	default:
		return nil, fmt.Errorf("%w, not %q", errSyncMode, cfg.Synchronous)
	}
	readers := cfg.Readers
	if readers <= 0 {
		readers = min(max(runtime.GOMAXPROCS(0), 2), 4)
	}
	reads, err := openPool(dsn(path, synchronous, "_pragma=query_only(1)"), readers)
	if err != nil {
		return nil, err
	}
	reads.SetConnMaxIdleTime(readerIdleAfter)
	writes, err := openPool(dsn(path, synchronous, shortWait()), 1)
	if err != nil {
		return nil, errors.Join(err, reads.Close())
	}
	s := &Store{path: path, writer: newWriter(writes), readers: readPool{db: reads}}
	if err := useWAL(ctx, writes); err != nil {
		s.Close()
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	return s, nil
}

// openPool makes a pool of at most size connections that stay open.
func openPool(dsn string, size int) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlite: data source: %w", err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// dsn gives the data source for a file. busy_timeout is first: the other pragmas may
// have to wait already.
func dsn(path, synchronous string, more ...string) string {
	q := []string{
		fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()),
		"_pragma=foreign_keys(1)",
		"_pragma=synchronous(" + synchronous + ")",
		fmt.Sprintf("_pragma=cache_size(-%d)", cacheKiB),
		"_pragma=mmap_size(0)",
		"_pragma=temp_store(memory)",
		fmt.Sprintf("_pragma=journal_size_limit(%d)", walLimitBytes),
		"_pragma=trusted_schema(0)", // a tampered file runs no functions of ours from its schema
		"_defensive=1",              // no statement can damage the file's structure
		"_dqs=0",                    // a misspelt column is an error, not a string
	}
	// A file: URI, so that a path with "?" or "%" stays a path.
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path)}
	return u.String() + "?" + strings.Join(append(q, more...), "&")
}

// shortWait is for connections that take the write lock. SQLite doesn't see a cancelled
// context while it waits; so it waits for a moment only, and we try again.
func shortWait() string {
	return fmt.Sprintf("_pragma=busy_timeout(%d)", busyStep.Milliseconds())
}

// useWAL makes the file use a write-ahead log, which is remembered in the file. Changing
// that needs the file alone; SQLite doesn't wait for it, so we do.
func useWAL(ctx context.Context, db *sql.DB) error {
	for wait := time.Millisecond; ; wait *= 2 {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("the file can't have a write-ahead log: journal mode is %q", mode)
		case !isBusy(err) || wait > busyTimeout:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// secureFile makes sure that the file exists and that nobody but its owner reads it, as
// it holds password hashes and sealed keys. SQLite gives its -wal and -shm files the
// mode of the database; those left by somebody else's umask are narrowed as well. The
// answer is the absolute path.
func secureFile(path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errNoPath
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the operator's own path
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	if runtime.GOOS == "windows" {
		return abs, nil // modes say nothing there; the folder's access list holds
	}
	for _, name := range []string{abs, abs + "-wal", abs + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("sqlite: %w", err)
		}
		if info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err := os.Chmod(name, 0o600); err != nil {
			return "", fmt.Errorf("%w: %w", errTooOpen, err)
		}
	}
	return abs, nil
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.read("ping", func(r runner) error {
		var tables int // reads the first page of the file
		return one(ctx, r, "SELECT count(*) FROM sqlite_schema", nil, &tables)
	})
}

// Close implements store.Store. It waits for calls in flight; later calls fail. Closing
// twice is harmless.
func (s *Store) Close() {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	// Readers first: the last connection to close writes the log back into the file and
	// removes it, and only the writer may write. What remains is readable by the next Open
	// in any case, so errors change nothing.
	_ = s.readers.db.Close()
	s.writer.disconnect()
	_ = s.writer.db.Close()
}
