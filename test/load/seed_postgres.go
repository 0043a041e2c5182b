package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

type postgres struct{ conn *pgx.Conn }

// connect opens a connection after it has made sure that it stays on this machine.
func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	if err := checkLoopbackDatabase(url); err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, url)
}

func openPostgres(ctx context.Context, url string) (*postgres, error) {
	conn, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	return &postgres{conn}, nil
}

// createDatabase makes an empty database and gives its URL and how to drop it.
func createDatabase(ctx context.Context, admin string) (drop func() error, dbURL string, err error) {
	u, err := url.Parse(admin)
	if err != nil {
		return nil, "", err
	}
	name := fmt.Sprintf("cardea_load_%x", rand.Uint64())
	do := func(ctx context.Context, sql string) error {
		conn, err := connect(ctx, admin)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		return err
	}
	if err := do(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, "", err
	}
	u.Path = "/" + name
	// Not ctx: an interrupted run must clean up, too.
	return func() error { return do(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") }, u.String(), nil
}

func (p *postgres) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := p.conn.Query(ctx, `SELECT attname::text FROM pg_attribute
		WHERE attrelid = ('auth.' || $1)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (p *postgres) exec(ctx context.Context, sql string, args ...any) error {
	_, err := p.conn.Exec(ctx, sql, args...)
	return err
}

func (p *postgres) dialect() dialect {
	return dialect{
		users:      "auth.users",
		identities: "auth.identities",
		series:     "generate_series($1::int, $2::int) AS s(n)",
		email:      "'load-' || s.n || '@example.com'",
		// Milliseconds since 2024 began, one for each user, and what md5 makes of the number.
		userID: "(lpad(to_hex(1704067200000 + s.n), 12, '0') || '7' || substr(md5(s.n::text), 1, 3)" +
			" || '8' || substr(md5(s.n::text), 4, 15))::uuid",
		identityID:   "gen_random_uuid()",
		providerID:   "u.id::text",
		identityData: "t.identity_data || jsonb_build_object('sub', u.id, 'email', u.email)",
		// Done now, so that it doesn't happen while something is measured.
		finish: []string{"VACUUM (ANALYZE) auth.users", "VACUUM (ANALYZE) auth.identities", "CHECKPOINT"},
	}
}

// postmaster is the parent of our own backend, if that is a process that we can see.
func (p *postgres) postmaster(ctx context.Context) (int, error) {
	var backend int
	if err := p.conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", backend))
	if err != nil || string(comm) != "postgres\n" { // another system, or another process namespace
		return 0, nil //nolint:nilerr // that it can't be seen is the answer
	}
	s, err := readStat(backend)
	return s.parent, err
}

func (p *postgres) close() error { return p.conn.Close(context.Background()) }
