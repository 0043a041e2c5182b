package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// queryCanceled is what a statement ends with that ran into its time limit.
const queryCanceled = "57014"

// CallFunction runs schema.function(payload) in a transaction of its own and gives the text
// of what it returns; nil for NULL, for void and for no row. The names are quoted, so they
// are names whatever they hold; the account of the pool needs EXECUTE. What the function
// wrote stays when it returns, and is undone when it fails.
//
// The function is stopped after limit, by the server; the error is then
// context.DeadlineExceeded, and otherwise the server's, which may quote the application's
// data: it is for the log.
func (s *Store) CallFunction(ctx context.Context, schema, function string, payload []byte, limit time.Duration) ([]byte, error) {
	// The type of the parameter is left to the server: a function may take json, jsonb or
	// text. It is described each time, because a function that was made anew may take another.
	sql := "SELECT f::text FROM " + pgx.Identifier{schema, function}.Sanitize() + "($1) AS f"
	begin := fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d", max(limit.Milliseconds(), 1))
	var out *string
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, sql, pgx.QueryExecModeDescribeExec, string(payload)).Scan(&out) //nolint:wrapcheck // below
	})
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && out == nil:
		return nil, nil
	case errors.As(err, &pg) && pg.Code == queryCanceled:
		return nil, fmt.Errorf("postgres: call %s.%s: %w: %w", schema, function, context.DeadlineExceeded, err)
	case err != nil:
		return nil, fmt.Errorf("postgres: call %s.%s: %w", schema, function, err)
	}
	return []byte(*out), nil
}
