package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
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

// proof is what one message needs: its token, its flow and itself, with the number n.
func proof(n, owner byte) ([]auth.OneTime, *auth.FlowState, []auth.Message) {
	flow := &auth.FlowState{ID: id('f', n), Challenge: "c", ChallengeMethod: "s256", Method: auth.MethodOTP, CreatedAt: t0}
	token := auth.OneTime{
		ID: id('t', n), UserID: id('u', owner), Purpose: auth.PurposeMagicLink, Address: account(owner).User.Email,
		TokenHash: string(rune(n)), CodeHash: string(rune(n)), FlowState: flow.ID, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour),
	}
	m := auth.Message{ID: id('m', n), Channel: "email", Kind: "magic_link", Sealed: []byte{n}, CreatedAt: t0, NotBefore: t0}
	return []auth.OneTime{token}, flow, []auth.Message{m}
}

// missing turns the expected absence into success.
func missing(_ auth.FlowState, _ auth.User, err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return nil
	}
	return err
}

// TestBudget holds the store to the statement budget of the design (S0.12): each
// operation runs once so that its statement is prepared, and is counted the second time.
func TestBudget(t *testing.T) {
	t.Parallel()
	count := &trips{}
	s, conn := open(t, postgres.Config{Tracer: count, MaxConns: 1})
	ctx := t.Context()
	owner := create(t, s, 1).User
	for n := byte(10); n < 16; n++ {
		if err := start(ctx, s, auth.SessionStart{Session: session(n, 1), Audit: entry(n)}); err != nil {
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
		{"UserWithSession", func(byte) error { _, err := s.UserWithSession(ctx, owner.ID, id('s', 1), t0); return err }},
		{"UserByEmail", func(byte) error { _, err := s.UserByEmail(ctx, owner.Email, owner.Aud); return err }},
		{"UserByID", func(byte) error { _, err := s.UserByID(ctx, owner.ID); return err }},
		{"RotateRefresh", func(round byte) error { return rotate(int64(round)) }},
		{"RotateRefresh with the parent", func(byte) error { return rotate(1) }},
		{"StartSession", func(round byte) error {
			return start(ctx, s, auth.SessionStart{Session: session(20+round, 1), Audit: next(), Identity: auth.ProviderEmail})
		}},
		{"CreateAccount", func(round byte) error { return s.CreateAccount(ctx, account(5+round)) }},
		{"UpdateUser", update},
		{"CreateAccount with a message", func(round byte) error {
			a := account(50 + round)
			a.Tokens, a.FlowState, a.Messages = proof(50+round, 50+round)
			return s.CreateAccount(ctx, a)
		}},
		{"UpdateUser with a notice", func(round byte) error {
			_, _, messages := proof(52+round, 1)
			_, err := s.UpdateUser(ctx, owner.ID, auth.UserPatch{At: t0, PasswordHash: &owner.PasswordHash, Messages: messages})
			return err
		}},
		{"IssueOneTime", func(round byte) error {
			tokens, flow, messages := proof(54+round, 1)
			return s.IssueOneTime(ctx, auth.IssueOneTime{
				UserID: owner.ID, At: t0, NotSince: t0, RequireSession: id('s', 1), EmailChange: new(string),
				Tokens: tokens, FlowState: flow, Messages: messages, Audit: []auth.AuditEntry{next()},
			})
		}},
		{"CheckNonce", func(byte) error { _, err := s.CheckNonce(ctx, owner.ID, []string{"x"}, t0, 6); return err }},
		{"TakeFlowState", func(byte) error { return missing(s.TakeFlowState(ctx, "x")) }},
		{"Enqueue", func(round byte) error { _, _, messages := proof(56+round, 1); return s.Enqueue(ctx, messages) }},
		{"ClaimMessages", func(byte) error { _, err := s.ClaimMessages(ctx, t0, time.Minute, 10); return err }},
		{"MessageSent", func(round byte) error { return s.MessageSent(ctx, id('m', 56+round)) }},
		{"MessageFailed", func(byte) error { return s.MessageFailed(ctx, auth.MessageFailure{ID: id('m', 50), At: t0}) }},
		{"EndSessions, one", func(round byte) error { return end(10+round, auth.RevokeOne) }},
		{"EndSessions, others", func(byte) error { return end(1, auth.RevokeOthers) }},
		{"EndSessions, all", func(round byte) error { return end(30+round, auth.RevokeAll) }},
	} {
		for round := range byte(2) {
			if op.name == "EndSessions, all" { // each needs a session to be called from
				if err := start(ctx, s, auth.SessionStart{Session: session(30+round, 1), Audit: next()}); err != nil {
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

	// What a token does depends on what is found: one trip to look, one to write.
	for _, r := range []struct {
		name   string
		redeem func(n byte) auth.Redeem
		want   auth.RedeemOutcome
	}{
		{"done", func(n byte) auth.Redeem { return auth.Redeem{TokenHash: string(rune(n))} }, auth.RedeemDone},
		{"wrong code", func(byte) auth.Redeem { return auth.Redeem{Address: owner.Email, CodeHashes: []string{"x"}} }, auth.RedeemRefused},
		{"unknown link", func(byte) auth.Redeem { return auth.Redeem{TokenHash: "x"} }, auth.RedeemRefused},
	} {
		for round := range byte(2) {
			n := 60 + round
			tokens, flow, _ := proof(n, 1)
			if err := s.IssueOneTime(ctx, auth.IssueOneTime{UserID: owner.ID, At: t0, Tokens: tokens, FlowState: flow}); err != nil {
				t.Fatal(err)
			}
			redeem, started := r.redeem(n), session(70+round, 1)
			redeem.At, redeem.Purposes, redeem.MaxAttempts = t0, []auth.Purpose{auth.PurposeMagicLink}, 6
			redeem.Session, redeem.Audit = &started, next()
			count.n = 0
			res, err := s.RedeemOneTime(ctx, redeem)
			if err != nil || res.Outcome != r.want {
				t.Fatalf("RedeemOneTime, %s: outcome %d, %v", r.name, res.Outcome, err)
			}
			exec(t, conn, "DELETE FROM auth.flow_state") // whose ids are used again
		}
		if count.n != 2 {
			t.Errorf("RedeemOneTime, %s: %d round trips, want 2", r.name, count.n)
		}
	}

	count.n = 0
	if err := s.CheckSchema(ctx); err != nil || count.n != 1 {
		t.Errorf("CheckSchema: %d round trips, want 1 (error %v)", count.n, err)
	}
}
