package postgres_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// trips counts round trips: a statement, a batch, or the preparation of a statement.
type trips struct{ n int }

func (c *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n++
	return ctx
}
func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n++
	return ctx
}
func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (c *trips) TracePrepareStart(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	c.n++
	return ctx
}

func (c *trips) TracePrepareEnd(_ context.Context, _ *pgx.Conn, d pgx.TracePrepareEndData) {
	if d.AlreadyPrepared {
		c.n--
	}
}

// TestBudget holds the store to the statement budget of the design (S0.12): each
// operation runs once so that its statement is prepared, and is counted the second time.
func TestBudget(t *testing.T) {
	t.Parallel()
	count := &trips{}
	s, _ := open(t, postgres.Config{Tracer: count, MaxConns: 1})
	ctx := t.Context()
	owner := create(t, s, 1).User
	for n := byte(10); n < 16; n++ {
		if err := s.StartSession(ctx, auth.SessionStart{Session: session(n, 1), Audit: entry(n)}); err != nil {
			t.Fatal(err)
		}
	}
	entries := byte(0)
	next := func() auth.AuditEntry { // an entry with an id of its own
		entries++
		e := entry(entries)
		e.ID = id('b', entries)
		return e
	}
	rotate := func(counter int64) error {
		_, err := s.RotateRefresh(ctx, auth.Rotation{SessionID: id('s', 1), Counter: counter, At: t0.Add(time.Duration(counter) * time.Hour)})
		return err
	}
	end := func(n byte, which auth.Revocation) error {
		_, err := s.EndSessions(ctx, auth.EndSessions{UserID: owner.ID, SessionID: id('s', n), Which: which, Audit: next()})
		return err
	}
	update := func(byte) error {
		_, err := s.UpdateUser(ctx, owner.ID, auth.UserPatch{
			At: t0, PasswordHash: &owner.PasswordHash, RequireSession: id('s', 1), Revoke: auth.RevokeOne, RevokeWith: id('s', 99),
			UserMetadata: auth.MetadataPatch{Set: map[string]json.RawMessage{"n": json.RawMessage(`1`)}},
			Identities:   owner.Identities, RemoveIdentities: []string{"none"}, Audit: []auth.AuditEntry{next()},
		})
		return err
	}

	for _, op := range []struct {
		name string
		run  func(round byte) error
	}{
		{"UserWithSession", func(byte) error { _, err := s.UserWithSession(ctx, owner.ID, id('s', 1)); return err }},
		{"UserByEmail", func(byte) error { _, err := s.UserByEmail(ctx, owner.Email, owner.Aud); return err }},
		{"UserByID", func(byte) error { _, err := s.UserByID(ctx, owner.ID); return err }},
		{"RotateRefresh", func(round byte) error { return rotate(int64(round)) }},
		{"RotateRefresh with the parent", func(byte) error { return rotate(1) }},
		{"StartSession", func(round byte) error {
			return s.StartSession(ctx, auth.SessionStart{Session: session(20+round, 1), Audit: next(), Identity: auth.ProviderEmail})
		}},
		{"CreateAccount", func(round byte) error { return s.CreateAccount(ctx, account(5+round)) }},
		{"UpdateUser", update},
		{"EndSessions, one", func(round byte) error { return end(10+round, auth.RevokeOne) }},
		{"EndSessions, others", func(byte) error { return end(1, auth.RevokeOthers) }},
		{"EndSessions, all", func(round byte) error { return end(30+round, auth.RevokeAll) }},
	} {
		for round := range byte(2) {
			if op.name == "EndSessions, all" { // each needs a session to be called from
				if err := s.StartSession(ctx, auth.SessionStart{Session: session(30+round, 1), Audit: next()}); err != nil {
					t.Fatal(err)
				}
			}
			count.n = 0
			if err := op.run(round); err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
		}
		if count.n != 1 {
			t.Errorf("%s: %d round trips, want 1", op.name, count.n)
		}
	}

	count.n = 0
	if err := s.CheckSchema(ctx); err != nil || count.n != 1 {
		t.Errorf("CheckSchema: %d round trips, want 1 (error %v)", count.n, err)
	}
}
