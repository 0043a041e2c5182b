package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// issue issues token n for account 1 and gives what redeems it, with session n.
func issue(tb testing.TB, s *postgres.Store, n byte) auth.Redeem {
	tb.Helper()
	tokens, _, _ := proof(n, 1)
	tokens[0].FlowState = auth.ID{}
	if err := s.IssueOneTime(tb.Context(), auth.IssueOneTime{UserID: id('u', 1), At: t0, Tokens: tokens}); err != nil {
		tb.Fatal(err)
	}
	started := session(n, 1)
	return auth.Redeem{
		At: t0, Purposes: []auth.Purpose{auth.PurposeMagicLink}, TokenHash: tokens[0].TokenHash, MaxAttempts: 6,
		Session: &started, Audit: entry(n),
	}
}

// The attack: a link leaks, and is used in the moment in which the owner, who has noticed,
// changes the password. The thief waits for the owner's lock, and must not act on what he
// saw before.
func TestRedeemAfterWaiting(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	r := issue(t, s, 10)
	owner, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "SELECT FROM auth.users WHERE id = $1 FOR NO KEY UPDATE", id('u', 1).String()); err != nil {
		t.Fatal(err)
	}
	thief := make(chan error, 1)
	go func() {
		res, err := s.RedeemOneTime(t.Context(), r)
		if err == nil && res.Outcome != auth.RedeemRefused {
			err = errors.New("the thief is in")
		}
		thief <- err
	}()
	waitForLock(t, owner.Conn().Config().ConnString())
	if _, err := owner.Exec(t.Context(), "DELETE FROM auth.one_time_tokens WHERE user_id = $1", id('u', 1).String()); err != nil {
		t.Fatal(err)
	}
	if err := owner.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-thief; err != nil {
		t.Error(err)
	}
}

// A caller who goes away while the transaction waits leaves neither a change nor an open
// transaction behind.
func TestRedeemCancelled(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{MaxConns: 1})
	create(t, s, 1)
	r := issue(t, s, 10)
	owner, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "SELECT FROM auth.users FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.RedeemOneTime(ctx, r)
		gone <- err
	}()
	waitForLock(t, owner.Conn().Config().ConnString())
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if err := owner.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []auth.RedeemOutcome{auth.RedeemDone, auth.RedeemRefused} {
		res, err := s.RedeemOneTime(t.Context(), r)
		if err != nil || res.Outcome != want {
			t.Errorf("outcome %d, want %d, error %v", res.Outcome, want, err)
		}
		var open int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'cardea' AND state LIKE 'idle in transaction%'`).Scan(&open); err != nil || open != 0 {
			t.Errorf("%d open transactions, %v", open, err)
		}
	}
}

// The statement that makes refusals cost the same must not need a superuser.
func TestNoteTryNeedsNoPrivilege(t *testing.T) {
	t.Parallel()
	_, conn := open(t, postgres.Config{})
	exec(t, conn, "SET ROLE anon")
	exec(t, conn, "SELECT pg_logical_emit_message(true, 'cardea', 'try')")
}

// A claimer never waits for another one, nor for a sign-in that is just being written.
func TestClaimDoesNotWait(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	for n := byte(1); n <= 2; n++ {
		_, _, messages := proof(n, 1)
		if err := s.Enqueue(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	other, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), "SELECT FROM auth.outbox WHERE id = $1 FOR UPDATE", id('m', 1).String()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := s.ClaimMessages(ctx, t0, time.Minute, 10)
	if err != nil || len(got) != 1 || got[0].ID != id('m', 2) {
		t.Errorf("%+v, %v; want the one that nobody has", got, err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Two processes share one database, one of them through a pooler that keeps no prepared
// statements: one code is good once.
func TestRedeemByTwoProcesses(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, migrate)
	var stores []*postgres.Store
	for _, mode := range []string{"cache_statement", "cache_describe"} {
		sep := "?"
		if strings.Contains(url, "?") {
			sep = "&"
		}
		s, err := postgres.Open(t.Context(), postgres.Config{URL: url + sep + "default_query_exec_mode=" + mode, MaxConns: 8})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		stores = append(stores, s)
	}
	create(t, stores[0], 1)
	for round := range byte(3) {
		r := issue(t, stores[round%2], 10+round)
		outcomes := make([]auth.RedeemOutcome, 16)
		var g errgroup.Group
		for i := range byte(16) {
			g.Go(func() error {
				mine, started := r, session(100+16*round+i, 1)
				mine.Session, mine.Audit.ID = &started, id('b'+round, i)
				res, err := stores[i%2].RedeemOneTime(t.Context(), mine)
				outcomes[i] = res.Outcome
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		won := 0
		for _, o := range outcomes {
			if o == auth.RedeemDone {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d redemptions of one link, want 1", won)
		}
	}
}
