package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/postgres"
)

// trips counts round trips: a batch is one.
type trips struct{ n atomic.Int32 }

func (c *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// What docs/performance.md says of round trips.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(pgtest.NewMigrated(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	count := &trips{}
	config.ConnConfig.Tracer = count
	p, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	s := store(t, p, postgres.Config{})
	request := usersync.Request{
		Identity: usersync.Identity{Issuer: "https://issuer.test", Subject: "1", Email: "a@example.org", EmailVerified: true},
		NewID:    "01990000-0000-7000-8000-000000000001", EventID: "e1", At: time.Unix(1_800_000_000, 0).UTC(),
		Consumers: []string{usersync.ConsumerHook, "webhook:crm"}, Asked: true,
	}
	for _, c := range []struct {
		what string
		most int32
		do   func() error
	}{
		{"a known row", 1, func() error {
			if _, err := s.Find(t.Context(), "https://issuer.test", "nobody"); err != usersync.ErrNoUser { //nolint:errorlint // as it is
				return err
			}
			return nil
		}},
		{"a new row: begin, look, write, commit", 4, func() error { _, err := s.Sync(t.Context(), request); return err }},
		{"nothing due", 1, func() error {
			_, err := s.Lease(t.Context(), "webhook:none", request.At, request.At, 10)
			return err
		}},
	} {
		before := count.n.Load()
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if n := count.n.Load() - before; n > c.most {
			t.Errorf("%s: %d round trips, at most %d", c.what, n, c.most)
		}
	}
}

// No statement reads a whole table: with 20,000 users, candidates and tasks come by index.
func TestPlans(t *testing.T) {
	t.Parallel()
	p := pool(t, pgtest.NewMigrated(t, migrate))
	for _, fill := range []string{
		`INSERT INTO usersync.users (id, issuer, subject, status, email, email_verified, phone, phone_verified, created_at, updated_at)
			SELECT gen_random_uuid(), 'i', n::text, 'active', n || '@example.org', true, '91' || (9000000000 + n), true, now(), now() FROM generate_series(1, 20000) n`,
		`INSERT INTO usersync.profiles (user_id, created_at, updated_at) SELECT id, now(), now() FROM usersync.users`,
		`INSERT INTO usersync.tasks (consumer, id, payload, due_at, created_at, user_id) SELECT 'webhook:crm', n::text, '', now() + n * interval '1 s', now(), n::text FROM generate_series(1, 20000) n`,
		`ANALYZE usersync.users, usersync.profiles, usersync.tasks`,
	} {
		if _, err := p.Exec(t.Context(), fill); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	for name, statement := range postgres.Statements() {
		if _, err := conn.Exec(t.Context(), "DEALLOCATE ALL; PREPARE shown AS "+statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		parameters := 0
		for strings.Contains(statement, fmt.Sprint("$", parameters+1)) {
			parameters++
		}
		execute := "EXPLAIN EXECUTE shown(" + strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ") + ")"
		rows, err := conn.Query(t.Context(), execute, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(lines) == 0 {
			t.Fatalf("%s: %d lines, %v", name, len(lines), err)
		}
		if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s reads a whole table:\n%s", name, plan)
		}
	}
}
