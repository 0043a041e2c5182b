package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// GoTrueUsers is the table whose rows [OpenForeign] gives with their identities.
const GoTrueUsers = "auth.users"

// Whatever columns a version of GoTrue has are members of the documents. Ids are compared as
// text: so they are ordered in the checkpoint of an import.
const foreignUsers = `
SELECT to_jsonb(u) || jsonb_build_object(
	'identities', (SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]') FROM auth.identities i WHERE i.user_id = u.id),
	'factors', %s)
FROM auth.users u WHERE $1 = '' OR u.id > nullif($1, '')::uuid ORDER BY u.id`

// Foreign reads rows of a database that is another system's. It is one transaction that only
// reads, on one connection.
type Foreign struct {
	conn *pgx.Conn
	tx   pgx.Tx
	rows pgx.Rows
	ctx  context.Context //nolint:containedctx // the life of the cursor
}

// OpenForeign begins to read GoTrue's users with an id after the given one ("" for all), in
// the order of their ids, or all rows of another table, "schema.table", in the order of its
// text. A column called password is never read from the latter.
func OpenForeign(ctx context.Context, url, table, after string) (*Foreign, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("postgres: foreign database: %w", err) // pgx masks the password
	}
	f := &Foreign{conn: conn, ctx: ctx}
	if err := f.begin(ctx, table, after); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: foreign database: %w", err), f.Close())
	}
	return f, nil
}

func (f *Foreign) begin(ctx context.Context, table, after string) error {
	var err error
	// One moment of the database, however long it takes.
	if f.tx, err = f.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return err
	}
	if table == GoTrueUsers {
		factors := "0"
		var has bool
		if err := f.tx.QueryRow(ctx, "SELECT to_regclass('auth.mfa_factors') IS NOT NULL").Scan(&has); err != nil {
			return err
		}
		if has {
			factors = "(SELECT count(*) FROM auth.mfa_factors m WHERE m.user_id = u.id AND m.status = 'verified')"
		}
		f.rows, err = f.tx.Query(ctx, fmt.Sprintf(foreignUsers, factors), after)
		return err
	}
	name := pgx.Identifier(strings.SplitN(table, ".", 2)).Sanitize()
	f.rows, err = f.tx.Query(ctx, "SELECT to_jsonb(t) - 'password' FROM "+name+" t ORDER BY (to_jsonb(t) - 'password')::text")
	return err
}

// Next gives the next row as a JSON document, valid until the next call; io.EOF after the
// last.
func (f *Foreign) Next() ([]byte, error) {
	if !f.rows.Next() {
		if err := f.rows.Err(); err != nil {
			return nil, fmt.Errorf("postgres: foreign database: %w", err)
		}
		return nil, io.EOF
	}
	return f.rows.RawValues()[0][f.skip():], nil
}

// skip is the version byte before the text of a jsonb in the binary format.
func (f *Foreign) skip() int { return int(f.rows.FieldDescriptions()[0].Format) }

// Close ends the transaction and the connection.
func (f *Foreign) Close() error {
	if f.rows != nil {
		f.rows.Close()
	}
	return f.conn.Close(context.WithoutCancel(f.ctx))
}
