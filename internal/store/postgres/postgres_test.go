package postgres_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// migrate is what every migrated test database is copied from.
func migrate(url string) error { return postgres.Migrate(context.Background(), url) }

// open makes a store on a database of its own, and a connection beside it to look at
// what the interface does not show.
func open(tb testing.TB, c postgres.Config) (*postgres.Store, *pgx.Conn) {
	tb.Helper()
	c.URL = pgtest.NewMigrated(tb, migrate)
	if c.MaxConns == 0 {
		c.MaxConns = 16 // all tests run at once, on one server
	}
	s, err := postgres.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, connect(tb, c.URL)
}

func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(tb testing.TB, conn *pgx.Conn, sql string, args ...any) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// audited lets the suite read the audit log and make factors.
type audited struct {
	*postgres.Store
	conn *pgx.Conn
}

func (a audited) AuditRows(ctx context.Context) ([]storetest.AuditRow, error) {
	rows, err := a.conn.Query(ctx, `SELECT id, created_at, payload, ip_address FROM auth.audit_log_entries ORDER BY created_at, id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (storetest.AuditRow, error) {
		var r storetest.AuditRow
		err := row.Scan((*[16]byte)(&r.ID), &r.At, (*[]byte)(&r.Payload), &r.IP)
		r.At = r.At.UTC()
		return r, err
	})
}

func (a audited) AddFactor(ctx context.Context, f auth.Factor) error {
	_, err := a.conn.Exec(ctx, `INSERT INTO auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, f.ID.String(), f.UserID.String(), f.Type, f.Status, f.CreatedAt, f.UpdatedAt)
	return err
}

func factory(tb testing.TB) store.Store {
	s, conn := open(tb, postgres.Config{})
	return audited{s, conn}
}

func TestStore(t *testing.T)      { storetest.Run(t, factory) }
func TestRace(t *testing.T)       { storetest.Race(t, factory) }
func BenchmarkStore(b *testing.B) { storetest.Bench(b, factory) }

// t0 is the clock of this package's own tests.
var t0 = time.Date(2026, 5, 6, 7, 8, 9, 123456000, time.UTC)

func id(kind, n byte) auth.ID { return auth.ID{1, 2, 3, 4, 5, 6, 0x70, kind, 0x80, 15: n} }

func entry(n byte) auth.AuditEntry {
	return auth.AuditEntry{ID: id('a', n), At: t0, Action: "login", LogType: "account"}
}

// account is the n-th sign-up, signed in.
func account(n byte) auth.NewAccount {
	u := auth.User{
		ID: id('u', n), Aud: "authenticated", Role: auth.RoleAuthenticated,
		Email: string('a'+rune(n)) + "@example.com", PasswordHash: "$hash$", EmailConfirmedAt: t0,
		AppMetadata: json.RawMessage(`{"provider": "email"}`), UserMetadata: json.RawMessage(`{"full_name": "Ada"}`),
		CreatedAt: t0, UpdatedAt: t0,
	}
	u.Identities = []auth.Identity{{
		ID: id('i', n), UserID: u.ID, Provider: auth.ProviderEmail, ProviderID: u.ID.String(),
		Data: json.RawMessage(`{"email": "` + u.Email + `"}`), Email: u.Email, CreatedAt: t0, UpdatedAt: t0,
	}}
	s := session(n, n)
	return auth.NewAccount{User: u, Session: &s, Audit: []auth.AuditEntry{entry(n)}}
}

func session(n, owner byte) auth.Session {
	return auth.Session{
		ID: id('s', n), UserID: id('u', owner), AAL: auth.AAL1, AMR: []auth.AMR{{Method: auth.MethodPassword, At: t0}},
		IP: "192.0.2.1", UserAgent: "test", CreatedAt: t0, UpdatedAt: t0, Parent: -1,
	}
}

// start starts a session and leaves aside what it is given.
func start(ctx context.Context, s store.Store, st auth.SessionStart) error {
	_, err := s.StartSession(ctx, st)
	return err
}

func create(tb testing.TB, s store.Store, n byte) auth.NewAccount {
	tb.Helper()
	a := account(n)
	if err := s.CreateAccount(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
	return a
}
