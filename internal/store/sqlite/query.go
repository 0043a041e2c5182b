package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/cardea-auth/cardea/internal/auth"
)

// runner gives prepared statements: on any reader, or on the writer within one write.
// Texts are constants of this package, so that the number of statements is bounded.
type runner interface {
	stmt(ctx context.Context, text string) (*sql.Stmt, error)
}

// readPool is the runner of the readers. Every read is a single statement and thereby
// sees one moment of the database.
type readPool struct {
	db    *sql.DB
	stmts sync.Map // text → *sql.Stmt
}

func (p *readPool) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := p.stmts.Load(text); ok {
		return st.(*sql.Stmt), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	st, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	// Two callers may prepare the same one at first; one of the two is kept.
	if old, loaded := p.stmts.LoadOrStore(text, st); loaded {
		return old.(*sql.Stmt), st.Close() //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	return st, nil
}

// writer is the one connection that writes, with its statements. turn is held by the
// write that is under way; everything else here belongs to its holder.
type writer struct {
	db    *sql.DB
	turn  chan struct{}
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newWriter(db *sql.DB) *writer { return &writer{db: db, turn: make(chan struct{}, 1)} }

func (w *writer) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if st := w.stmts[text]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = st
	return st, nil
}

// connect makes the connection if there is none.
func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmts = conn, make(map[string]*sql.Stmt)
	return nil
}

// disconnect closes the connection, with all that is open on it. A transaction that is
// still open does not happen.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, st := range w.stmts {
		_ = st.Close() // or the file would stay open
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // makes the pool close it
	_ = w.conn.Close()
	w.conn, w.stmts = nil, nil
}

// begin takes the write lock of the file. Another process may have it: SQLite waits for
// busyStep, deaf to ctx, so the rest of busyTimeout is waited for here.
func (w *writer) begin(ctx context.Context) error {
	for waited := busyStep; ; waited += busyStep {
		_, err := exec(ctx, w, "BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) || waited >= busyTimeout {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// take waits for its turn; give ends it.
func (w *writer) take(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) give() { <-w.turn }

// alone gives f the pool of the one connection while nobody writes.
func (w *writer) alone(ctx context.Context, f func(db *sql.DB) error) error {
	if err := w.take(ctx); err != nil {
		return err
	}
	defer w.give()
	w.disconnect() // or f would wait for it forever
	return f(w.db)
}

// write runs f as one transaction that has the file's write lock from its start. Either
// all of f happens, or, when f or the commit fails, nothing.
func (w *writer) write(ctx context.Context, f func() error) (err error) {
	if err := w.take(ctx); err != nil {
		return err
	}
	defer w.give()
	if err := w.connect(ctx); err != nil {
		return err
	}
	// What ends the transaction must not be stopped by the caller's going away.
	always := context.WithoutCancel(ctx)
	committed := false
	defer func() {
		if committed {
			return
		}
		// Also after a failed BEGIN or a panic in f. SQLite itself rolls back after some
		// errors; then ROLLBACK is the error, and a new connection is the answer.
		if _, rollback := exec(always, w, "ROLLBACK"); rollback != nil {
			w.disconnect()
		}
	}()
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // nobody waits for the answer: better that nothing happened
		return err
	}
	if _, err := exec(always, w, "COMMIT"); err != nil {
		return err
	}
	committed = true
	return nil
}

// enter keeps Close from happening until leave is called.
func (s *Store) enter() error {
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return errClosed
	}
	return nil
}

func (s *Store) leave() { s.closing.RUnlock() }

// read runs f on the readers. op names the method in the error.
func (s *Store) read(op string, f func(r runner) error) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("sqlite: %s: %w", op, err)
	}
	defer s.leave()
	return wrap(op, f(&s.readers))
}

// write runs f as one transaction, see writer.write. op names the method in the error.
func (s *Store) write(ctx context.Context, op string, f func(r runner) error) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("sqlite: %s: %w", op, err)
	}
	defer s.leave()
	return wrap(op, s.writer.write(ctx, func() error { return f(s.writer) }))
}

// exec runs a statement that gives no rows; the answer is the number of rows changed.
func exec(ctx context.Context, r runner, text string, args ...any) (int64, error) {
	st, err := r.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one runs a statement that gives at most one row. Without a row it is auth.ErrNotFound.
func one(ctx context.Context, r runner, text string, args []any, dest ...any) error {
	st, err := r.stmt(ctx, text)
	if err != nil {
		return err
	}
	if err = st.QueryRowContext(ctx, args...).Scan(dest...); errors.Is(err, sql.ErrNoRows) {
		return auth.ErrNotFound
	}
	return err
}

// each runs a statement and calls f for every row.
func each(ctx context.Context, r runner, text string, args []any, f func(scan func(dest ...any) error) error) error {
	st, err := r.stmt(ctx, text)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// wrap turns a broken uniqueness into the error that callers know, and says which method
// failed. The errors of package auth are returned as they are.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
		if taken := takenBy(e.Error()); taken != nil {
			return taken
		}
	}
	for _, known := range []error{auth.ErrNotFound, auth.ErrConflict, auth.ErrIDTaken, auth.ErrTooSoon, auth.ErrEmailTaken, auth.ErrPhoneTaken, auth.ErrSlugTaken, auth.ErrHeld} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("sqlite: %s: %w", op, err)
}

// takenBy reads the columns from SQLite's text, "… UNIQUE constraint failed:
// users.email (2067)": there is no other way to learn them.
func takenBy(text string) error {
	_, columns, found := strings.Cut(text, "UNIQUE constraint failed: ")
	if !found {
		return nil
	}
	columns, _, _ = strings.Cut(columns, " (")
	switch columns {
	case "tenants.slug":
		return auth.ErrSlugTaken
	case "memberships.tenant_id, memberships.user_id", "relations.object_id", "index 'relations_one_open_key'",
		"user_identifiers.user_id, user_identifiers.kind, user_identifiers.value":
		return auth.ErrConflict
	case "users.email":
		return auth.ErrEmailTaken
	case "users.phone":
		return auth.ErrPhoneTaken
	case "users.id", "identities.id", "identities.provider_id, identities.provider",
		"sessions.id", "signing_keys.kid", "api_keys.id", "api_keys.hash",
		"one_time_tokens.id", "flow_state.id", "outbox.id", "tenants.id", "relations.id", "user_identifiers.id",
		"erasures.id", "legal_holds.id":
		return auth.ErrIDTaken
	}
	return nil
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}
