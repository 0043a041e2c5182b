// Package postgres keeps mirrored users in a service's own PostgreSQL, in a schema of its
// own beside the service's tables, which may refer to it and join with it.
//
// Every lock belongs to a transaction, so a pooler in transaction mode may stand between;
// the pool then needs a query mode without prepared statements (pgx's QueryExecModeExec).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/usersync"
)

// Config says where the tables are.
type Config struct {
	// Schema is the schema of the tables; "" means usersync. Lower-case letters, digits and
	// underscores.
	Schema string
}

// Store keeps users. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	schema string
}

var _ usersync.Store = (*Store)(nil)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// New makes a Store of the service's pool, which it neither closes nor changes. It asks the
// database nothing; call [Store.Migrate] before the first use.
func New(pool *pgxpool.Pool, c Config) (*Store, error) {
	if c.Schema == "" {
		c.Schema = "usersync"
	}
	switch {
	case pool == nil:
		return nil, errors.New("usersync/postgres: no pool")
	case !schemaName.MatchString(c.Schema):
		return nil, fmt.Errorf("usersync/postgres: Schema: %q is not a plain lower-case name", c.Schema)
	}
	return &Store{pool: pool, schema: c.Schema}, nil
}

// sql puts the schema into a statement. The statements are constants of this package, and
// the schema's name is plain.
func (s *Store) sql(statement string) string { return strings.ReplaceAll(statement, "@", s.schema+".") }

// attempts is how often a transaction is tried that met another one.
const attempts = 10

// again says whether a transaction should be run once more: another one took a value that
// must be unique (S2.31: what Decide then finds is the other's row), or was in its way.
func again(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "23505", "40001", "40P01": // unique_violation, serialization_failure, deadlock_detected
		return true
	}
	return false
}

// inTx runs f in a transaction, and again when it met another one.
func (s *Store) inTx(ctx context.Context, what string, f func(pgx.Tx) error) error {
	var err error
	for range attempts {
		// What is read after a lock was waited for has to be what is there then, whatever the
		// service has set for its own transactions.
		err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
		if err == nil || !again(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("usersync/postgres: %s: %w", what, err)
	}
	return nil
}
