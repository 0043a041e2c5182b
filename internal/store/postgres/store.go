// Package postgres is store.Store on PostgreSQL 14 or later, with native pgx.
//
// Everything lives in schema auth under GoTrue's names, so that an application's
// foreign keys, triggers and policies keep working.
//
// How atomicity is reached here:
//
//   - Hot operations are one statement each, with data-modifying CTEs. Foreign keys are
//     checked at its end, so parents and children can be inserted together.
//   - What has to see the newest rows after waiting for a lock is a batch: one round
//     trip and one implicit transaction, but a new snapshot for each of its statements.
//     (Under READ COMMITTED a single statement that waited re-reads only the row it
//     waited for.)
//   - Locks are always taken in the order accounts (by id), then tenants, then sessions, then
//     one-time tokens and flows. A method that needs one row only takes that one. So no two methods can deadlock.
//   - Redeeming a one-time token is the one operation of two round trips: what it does
//     depends on what it finds, and the decision is Go.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store"
)

var _ store.Store = (*Store)(nil)

// defaultConnectTimeout is short enough that a request which needs a new connection
// still gets its answer when the server is gone.
const defaultConnectTimeout = 5 * time.Second

// Config says how to reach the database. Only URL is required.
type Config struct {
	// URL is postgres://... with libpq's parameters (sslmode, ...) and pgxpool's
	// (pool_max_conns, ...). The account must own schema auth: row-level security is on.
	URL string
	// MaxConns bounds the pool. 0 means pool_max_conns of URL, or else four for each
	// processor, and at least four.
	MaxConns int32
	// MinConns are kept open when idle.
	MinConns int32
	// ConnectTimeout bounds one attempt to connect; 0 means connect_timeout of URL, or
	// else 5 seconds.
	ConnectTimeout time.Duration
	// Tracer sees every statement; nil for none. It must not log arguments, which hold
	// password hashes and addresses.
	Tracer pgx.QueryTracer
}

// Store is a pool of connections. Its methods may be called from many goroutines.
type Store struct {
	pool    *pgxpool.Pool
	adopted atomic.Int32 // whether schema auth was GoTrue's: see isAdopted
}

// Open makes the pool. It does not wait for the database: the first call does, which
// at start-up should be [Store.CheckSchema].
func Open(ctx context.Context, c Config) (*Store, error) {
	cfg, err := poolConfig(c)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	return &Store{pool: pool}, nil
}

func poolConfig(c Config) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: database URL: %w", err) // pgx masks the password
	}
	// pgxpool's own default is 4 or the number of processors, whichever is more. Requests
	// spend most of their time waiting for the disk of the server, so more pays.
	procs := int32(min(runtime.GOMAXPROCS(0), 1024)) //nolint:gosec // G115: bounded
	switch {
	case c.MaxConns > 0:
		cfg.MaxConns = c.MaxConns
	case cfg.MaxConns == max(4, procs): // nobody asked for a number
		cfg.MaxConns = max(4, 4*procs)
	}
	if c.MinConns > 0 {
		cfg.MinConns = min(c.MinConns, cfg.MaxConns)
	}
	if c.ConnectTimeout > 0 {
		cfg.ConnConfig.ConnectTimeout = c.ConnectTimeout
	} else if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = defaultConnectTimeout
	}
	cfg.ConnConfig.Tracer = c.Tracer

	params := cfg.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "cardea"
	}
	switch cfg.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
		// Every statement here finds its rows by a unique key: planning it again for other
		// values, which PostgreSQL would do five times per connection and statement, costs
		// more than running it.
		params["plan_cache_mode"] = "force_generic_plan"
		params["jit"] = "off"
	case pgx.QueryExecModeCacheDescribe:
		// The mode for poolers that cannot keep prepared statements: they tend to refuse
		// start-up parameters too.
	default:
		return nil, errors.New("postgres: default_query_exec_mode: use cache_statement (the default), " +
			"or cache_describe behind a pooler that cannot keep prepared statements")
	}
	return cfg, nil
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: ping: %w", err)
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() { s.pool.Close() }

// tx runs f in a transaction, for operations that are too rare to deserve one statement.
func (s *Store) tx(ctx context.Context, what string, f func(pgx.Tx) error) error {
	if err := pgx.BeginFunc(ctx, s.pool, f); err != nil {
		return storeError(what, err)
	}
	return nil
}

// storeError gives a driver's error the meaning that callers know. Constraints are told
// apart by name, since the text of messages depends on the language of the server.
func storeError(what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return auth.ErrNotFound
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if err := triggerError(what, pg); err != nil {
			return err
		}
	}
	if errors.As(err, &pg) && pg.Code == foreignKeyViolation {
		if what == "delete user" && pg.SchemaName != "auth" {
			return &auth.Error{Code: auth.CodeAccountInUse, Cause: fmt.Errorf("postgres: %s: rows of %s.%s refer to it (%s)",
				what, pg.SchemaName, pg.TableName, pg.ConstraintName)}
		}
		switch pg.ConstraintName { // of somebody or something that has just been deleted
		case "memberships_tenant_id_fkey", "memberships_user_id_fkey", "profiles_user_id_fkey", "relations_subject_id_fkey",
			"relations_object_id_fkey", "relations_tenant_id_fkey", "user_identifiers_user_id_fkey":
			return auth.ErrNotFound
		}
	}
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		switch pg.ConstraintName {
		case "tenants_slug_key":
			return auth.ErrSlugTaken
		case "memberships_pkey", "relations_one_open_key", "relations_one_agent_key", "user_identifiers_own_key":
			return auth.ErrConflict
		case "users_email_partial_key":
			return auth.ErrEmailTaken
		case "users_phone_key":
			return auth.ErrPhoneTaken
		case "users_pkey", "identities_pkey", "identities_provider_id_provider_unique", "outbox_pkey",
			"one_time_tokens_pkey", "flow_state_pkey", "tenants_pkey", "relations_pkey", "user_identifiers_pkey",
			"erasures_pkey", "legal_holds_pkey":
			return auth.ErrIDTaken
		case "signing_keys_pkey", "signing_keys_one_current", "signing_keys_one_standby":
			return auth.ErrConflict
		}
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

// SQLSTATE values (PostgreSQL manual, appendix A).
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	undefinedTable      = "42P01"
	undefinedSchema     = "3F000"
)

// timestamp gives a parameter: a zero time is NULL.
func timestamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

// uuid gives a parameter: a zero id is NULL.
func uuid(id auth.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: !id.IsZero()} }

// document gives a parameter of a column that holds a JSON object.
func document(raw []byte) []byte {
	if len(raw) == 0 {
		return []byte(`{}`)
	}
	return raw
}
